"""What the evidence says: each session, slot and task is accounted for by a fault, or by none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.soak.evidence import Evidence, Violations
from tests.soak.record import LATE, SLOW, Span, covered

# While one of these is on, a worker cannot be heard by Redis.
MUTE_WORKER = {"stopped", "stalled", "silent", SLOW}
# While one of these is on no script writes, so no lease time passes and nothing is reclaimed.
MUTE_SERVER = {"server_killed", "server_emptied", "busy", "read_only", "server_stopped"}
EMPTIED = {"server_emptied", "flushall"}
SERVED_BEFORE = 20


@dataclass
class Verdict:
    """Figures, and what must not be."""

    violations: Violations
    expiries: Counter[str] = field(default_factory=Counter)
    false_expiries: int = 0
    reclaims: list[float] = field(default_factory=list)
    overlaps: dict[str, float] = field(default_factory=dict)
    unexplained_overlaps: int = 0
    tasks: Counter[str] = field(default_factory=Counter)
    recoveries: list[float] = field(default_factory=list)
    lost_grants: int = 0


def judge(evidence: Evidence) -> Verdict:
    verdict = Verdict(list(evidence.violations))
    _births(evidence, verdict)
    for gone in evidence.gone:
        _session(evidence, verdict, gone)
    _bodies(evidence, verdict)
    _tasks(evidence, verdict)
    _waiters(evidence, verdict)
    verdict.violations += [(evidence.finishing_at, f"left at rest: {row}") for row in evidence.left]
    verdict.recoveries = [
        next((begin - up for begin in evidence.oracle["begins"] if begin > up), 0.0)
        for up in evidence.up
    ]
    verdict.violations.sort()
    return verdict


def _spans(evidence: Evidence, kinds: set[str], worker: int | None = None) -> list[Span]:
    """The server's, or those of one worker; the soak's own slowness is everybody's."""
    return [
        span
        for span in evidence.record.spans
        if span.kind in kinds
        and (span.worker == worker or (span.worker is None and span.kind in (SLOW, LATE)))
    ]


def _births(evidence: Evidence, verdict: Verdict) -> None:
    emptied = _spans(evidence, EMPTIED)
    for born in evidence.born[1:]:
        if not any(span.begin <= born["at"] and span.end >= born["after"] for span in emptied):
            verdict.violations.append((born["at"], "the state vanished, and nobody emptied it"))


def _session(evidence: Evidence, verdict: Verdict, gone: dict[str, Any]) -> None:
    """A session has ended, though the server was not emptied: why?"""
    pid, at = gone["pid"], gone["at"]
    opened = evidence.opened_at.get(pid, float("inf"))
    worker = evidence.workers_by_pid.get(pid)
    killed = evidence.killed.get(pid, float("inf"))
    if killed <= at:
        _reclaim(evidence, verdict, gone, killed)
    elif worker is not None and at < opened:
        verdict.expiries["opening"] += 1
    elif at < evidence.finishing_at:
        reason = _excuse(evidence, worker, at)
        verdict.expiries[reason or "none"] += 1
        if reason is None:
            verdict.false_expiries += 1
            who = "the conductor" if worker is None else f"worker {worker}"
            text = f"false expiry: session {gone['session']} of {who}, held {gone['held']}"
            verdict.violations.append((at, text))


def _excuse(evidence: Evidence, worker: int | None, at: float) -> str | None:
    """What kept a worker from being heard in its last lease. One fault alone must take half of it;
    faults of the server alone, however long, are no excuse (P5)."""
    lease = evidence.lease
    begin = at - lease - 0.5
    mine, servers = _spans(evidence, MUTE_WORKER, worker), _spans(evidence, MUTE_SERVER)
    both = covered(mine + servers, begin, at)
    begin -= covered(servers, begin, at)  # no lease time passed in it
    own = covered(mine, begin, at)
    if own < 0.2 * lease or both < 0.5 * lease:
        return None
    return max(mine, key=lambda span: (span.kind != SLOW, covered([span], begin, at))).kind


def _reclaim(evidence: Evidence, verdict: Verdict, gone: dict[str, Any], killed: float) -> None:
    """A dead process' session has ended: in time? The bound is on the time in which scripts could
    write, and in which the soak itself was not kept from looking."""
    still = _spans(evidence, MUTE_SERVER | {SLOW, LATE})
    took = gone["at"] - killed - covered(still, killed, gone["at"])
    verdict.reclaims.append(took)
    if took > evidence.reclaim_bound:
        text = f"session {gone['session']} of a killed worker was there for {took:.2f} s"
        verdict.violations.append((gone["at"], text))


def _bodies(evidence: Evidence, verdict: Verdict) -> None:
    """Two bodies on one slot: some fault must have kept the stale one from knowing."""
    found = evidence.oracle
    verdict.violations += [(at, text) for at, text in found["violations"]]
    if found["stale_accepted"]:
        verdict.violations.append((0.0, f"{found['stale_accepted']} stale writes accepted"))
    for overlap in found["overlaps"]:
        begin = overlap["begin"]
        kind = _why(evidence, overlap["stale"], begin)
        verdict.overlaps[kind] = verdict.overlaps.get(kind, 0.0) + overlap["seconds"]
        if kind == "none":
            verdict.unexplained_overlaps += 1
            text = (
                f"two bodies on slot {overlap['slot']} for {overlap['seconds']:.3f} s: workers "
                f"{overlap['stale']} and {overlap['fresh']}"
            )
            verdict.violations.append((begin, text))


def _why(evidence: Evidence, worker: int, begin: float) -> str:
    lease = evidence.lease
    for span in _spans(evidence, EMPTIED):
        if span.begin <= begin + 0.1 and span.end >= begin - 1.5 * lease:
            return span.kind
    mine = [
        span
        for span in _spans(evidence, MUTE_WORKER, worker)
        if span.begin <= begin and span.end >= begin - 1.5 * lease
    ]
    if not mine:
        return "none"
    return max(mine, key=lambda span: (span.kind != SLOW, span.end - span.begin)).kind


def _tasks(evidence: Evidence, verdict: Verdict) -> None:
    """Each that Redis confirmed is done, dead, gone with an emptied server, or lost."""
    found, counts = evidence.oracle["tasks"], verdict.tasks
    emptied = _spans(evidence, EMPTIED)
    for name in ("submitted", "refused or unknown", "done", "again", "twice"):
        counts[name] = found[name]
    for name, task_id, asked_at in found["open"]:
        if task_id in evidence.dead:
            counts["dead"] += 1
        elif any(span.end >= asked_at for span in emptied):
            counts["gone"] += 1
        else:
            counts["lost"] += 1
            verdict.violations.append((asked_at, f"task {name} ({task_id}) is lost"))
    if counts["twice"]:
        verdict.violations.append((0.0, f"{counts['twice']} tasks were done twice"))


def _waiters(evidence: Evidence, verdict: Verdict) -> None:
    """Callers who waited for long: were others served meanwhile?"""
    for since, told, who in evidence.stuck:
        then = max((n for at, n in evidence.granted_at if at <= since), default=0)
        until = max((n for at, n in evidence.granted_at if at <= told), default=0)
        if until - then > SERVED_BEFORE * evidence.processes * evidence.callers:
            verdict.lost_grants += 1
            text = f"{who} was not served, {until - then} others were"
            verdict.violations.append((told, text))
