"""The soak itself: a short one, and that it sees what is planted."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.schedulers import dump_of
from tests.servers import Server
from tests.soak.__main__ import show
from tests.soak.evidence import Evidence
from tests.soak.oracle import Desk, Oracle
from tests.soak.plan import SERVER_KINDS, WORKER_KINDS, plan
from tests.soak.processes import ROOT
from tests.soak.record import Record
from tests.soak.report import report
from tests.soak.verdict import judge
from tests.soak.watch import Watch
from tests.soak.witness import Witness

pytestmark = pytest.mark.chaos


def evidence_of(oracle: Oracle, record: Record | None = None) -> Evidence:
    """Of a run in which nothing happened but what the oracle was told."""
    evidence = Evidence(1, 1.0, 4, 2, 6, 60.0, "none", record or Record(), [])
    evidence.oracle = oracle.findings()
    return evidence


def exit_code(evidence: Evidence) -> int:
    return show(report(evidence, judge(evidence)), None)


@pytest.mark.alone
def test_short_soak(tmp_path: Path) -> None:
    """Twelve seconds of faults: nothing is violated, and the report tells what was done."""
    file = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.soak", "--minutes", "0.2", "--processes", "4"]
    done = subprocess.run(
        [*command, "--callers", "12", "--json", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(file.read_text())
    figures = found["figures"]
    assert found["ok"]
    assert found["violations"] == []
    assert figures["faults"] >= 10
    assert figures["grants"] >= figures["bodies"] > 100
    assert figures["dumps checked"] > 20
    assert figures["durable tasks"]["done"] > 0
    assert "grants" in done.stdout


def test_plan_follows_from_the_seed() -> None:
    """The same seed plans the same, another one something else; over an hour no kind is missing."""
    for kinds in (WORKER_KINDS, SERVER_KINDS):
        planned = plan("1", kinds, 3600, 1.0)
        assert planned == plan("1", kinds, 3600, 1.0)
        assert planned != plan("2", kinds, 3600, 1.0)
        assert {fault.kind for fault in planned} == {kind.name for kind in kinds}
        assert all(one.at + one.lasts <= two.at for one, two in itertools.pairwise(planned))


async def test_two_bodies_of_one_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Planted at the oracle's socket by two workers, they make the soak fail."""
    oracle, path = Oracle(), str(tmp_path / "oracle")
    listening = await asyncio.start_unix_server(Desk(oracle).serve, path)
    witnesses = [await Witness.open(path, number) for number in range(2)]
    assert await witnesses[0].begin(slot=1, token=17)
    assert not await witnesses[1].begin(slot=1, token=17)
    for witness in witnesses:
        await witness.aclose()
    listening.close()
    assert exit_code(evidence_of(oracle)) == 1
    assert "token 17 began two bodies" in capsys.readouterr().out


def test_fence() -> None:
    """A stale write is refused, and nothing stale is ever accepted."""
    oracle = Oracle()
    assert oracle.begin(0, 0, 10, "", 1.0)
    assert oracle.begin(1, 0, 20, "", 2.0)
    assert not oracle.write(10)
    assert oracle.write(20)
    assert (oracle.fenced, oracle.stale_accepted) == (1, 0)


@pytest.mark.parametrize(("token", "code"), [(30, 1), (10, 0)])
def test_task_served_again(token: int, code: int) -> None:
    """A task that is granted after it was done is a fault; that an older grant's body begins late
    is not, for its token is lower."""
    oracle = Oracle()
    oracle.tasks.submitting("job", 1.0)
    oracle.tasks.submitted("job", "id")
    oracle.begin(0, 0, 20, "job", 2.0)
    oracle.end(20, 2.5)
    oracle.tasks.left(20, "confirmed")
    oracle.begin(1, 1, token, "job", 3.0)
    oracle.end(token, 3.5)
    assert exit_code(evidence_of(oracle)) == code


@pytest.mark.parametrize(("kind", "code"), [("stopped", 0), ("cut", 1)])
def test_overlap(kind: str, code: int) -> None:
    """Two bodies on one slot are an overlap if the stale one's worker was stopped; else a fault."""
    oracle, record = Oracle(), Record()
    oracle.begin(0, 0, 10, "", 100.0)
    oracle.begin(1, 0, 20, "", 102.0)
    oracle.end(10, 102.5)
    oracle.end(20, 103.0)
    record.slow(0, 100.5, 102.4)
    record.spans[0].kind = kind
    evidence = evidence_of(oracle, record)
    assert judge(evidence).overlaps == {kind if code == 0 else "none": 0.5}
    assert exit_code(evidence) == code


def test_false_expiry() -> None:
    """A session that ends though nothing was done to its worker is one; faults of the server are
    no excuse, a worker that was stopped has one."""
    record = Record()
    with record.during("server_killed"):
        evidence = evidence_of(Oracle(), record)
    at = time.monotonic()
    record.spans[0].begin -= 2.0
    evidence.workers_by_pid, evidence.opened_at = {7: 3}, {7: at - 10}
    evidence.gone = [{"session": "s", "pid": 7, "after": at, "at": at, "held": 1}]
    assert judge(evidence).false_expiries == 1
    with record.during("stopped", 3) as span:
        pass
    span.begin -= 1.3
    assert judge(evidence).expiries == {"stopped": 1}


def test_late_reclaim() -> None:
    """A dead worker's session may be there for the bound, not counting a dead server's time."""
    record = Record()
    with record.during("server_killed") as span:
        pass
    evidence = evidence_of(Oracle(), record)
    evidence.killed, evidence.workers_by_pid = {7: span.end - 4.0}, {7: 3}
    evidence.gone = [{"session": "s", "pid": 7, "after": 0, "at": span.end, "held": 1}]
    assert judge(evidence).violations
    span.begin -= 2.0
    assert not judge(evidence).violations


def told_of() -> tuple[list[dict[str, Any]], Callable[..., None]]:
    told: list[dict[str, Any]] = []
    return told, lambda **facts: told.append(facts)


async def test_broken_dump(server: Server, schedulers: Any) -> None:
    """A state that breaks an invariant, or goes back, is told of by the checker."""
    async with schedulers(capacity=2) as scheduler:
        async with scheduler.acquire("a"):
            held = dump_of(server)
        free = dump_of(server)
    told, tell = told_of()
    watch = Watch(tell)
    watch.look(held, 1.0, 1.0)
    watch.look(free, 1.1, 1.1)
    assert [facts["event"] for facts in told] == ["born"]
    watch.look(held, 1.2, 1.2)
    assert "between two dumps" in told[-1]["text"]
    broken = held.__class__(*[getattr(held, name) for name in held.__slots__])
    object.__setattr__(broken, "holders", {})
    watch.look(broken, 1.3, 1.3)
    assert "invariant 1" in told[-1]["text"]
