"""What the soak has found, each in the small."""

from __future__ import annotations

from tests.schedulers import Schedulers
from tests.soak.evidence import Evidence
from tests.soak.record import Record, Span
from tests.soak.tasks import Tasks
from tests.soak.verdict import judge
from tests.waiting import eventually


async def test_asking_for_the_configuration_does_not_revive(schedulers: Schedulers) -> None:
    """A session asks for a configuration that somebody has changed. If it has been reaped by then,
    it stays so, and its holder learns that the lease is lost."""
    async with schedulers(lease_ttl=5.0) as scheduler:
        handle = await scheduler.acquire_start("holder")
        session = scheduler._session
        assert session is not None
        ledger, outbox = session.ledger, session.outbox
        # Both are on their way before anybody can tell this process that its session has ended.
        reaped = outbox.send(session.scripts.close(session=ledger.session, seen=0), 5.0)
        session._presence.refresh(ledger, 5.0, lambda reply: session._refreshed(ledger, reply))
        await reaped
        await eventually(lambda: handle.lease.lost, timeout=1.0)
        await eventually(lambda: session.is_open)
        assert ledger.session.encode() not in schedulers.dump().sessions
        assert scheduler.session_id != ledger.session


def test_no_lease_time_passes_while_the_server_writes_nothing() -> None:
    """A worker was stopped, and before it went on the server became read-only for longer than a
    lease: its session ends just after that. Who was not stopped has no such excuse."""
    record = Record()
    record.spans += [Span("stopped", 7, 54.32, 55.70), Span("read_only", None, 55.10, 57.02)]
    evidence = Evidence(0, 1.0, 4, 8, 18, 120.0, "any", record, [])
    evidence.finishing_at = 120.0
    evidence.oracle = {"begins": [], "violations": [], "stale_accepted": 0, "overlaps": []}
    evidence.oracle["tasks"] = Tasks([]).findings()
    evidence.workers_by_pid, evidence.opened_at = {7: 7, 6: 6}, {7: 1.0, 6: 1.0}
    for pid in (7, 6):
        evidence.gone.append({"pid": pid, "at": 57.08, "session": f"s{pid}", "held": 4})
    verdict = judge(evidence)
    assert verdict.expiries == {"stopped": 1, "none": 1}
    assert [text for _, text in verdict.violations] == [
        "false expiry: session s6 of worker 6, held 4"
    ]
