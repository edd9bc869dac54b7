"""What `loco-redis status` finds out, without reading all agents."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, fields
from typing import NamedTuple

from loco_redis.cli._console import seconds
from loco_redis.cli._rows import HolderRow, holder_rows
from loco_redis.errors import UnknownAgentError
from loco_redis.observe import Observer
from loco_redis.snapshots import Snapshot, Waiter

_ROWS = 5


class Limits(NamedTuple):
    """What counts as wrong; None: nothing does. `wait` in seconds."""

    wait: float | None = 60.0
    waiters: int | None = None
    dead: int | None = None


@dataclass(frozen=True)
class WaitingAgentRow:
    """An agent that waits: `waiting` requests, the oldest for `oldest_wait` seconds;
    `queue_depth_weighted` is Q in units of weight, `dmax` D in ticks, `score` L(i)."""

    agent_id: str
    waiting: int
    oldest_wait: float
    queue_depth_weighted: float
    dmax: int
    score: float
    holding: int


@dataclass(frozen=True)
class StatusReport:
    """One resource at a glance; times in seconds.

    `state`: granting, paused, throttled (`held_back_for` says how long) or rate (`rate_wait`).
    `problems`: what --check finds wrong, in words. `oldest_wait` is null where nobody waits,
    `max_waiters` where there is no limit; `rpm`, `tpm`, `events`: 0 without.
    `granted_per_second` is taken over --interval (null without one),
    `granted_per_second_ever` since `born`; `granted`, `released`, `reclaimed` count since then.
    `serving`: requests for a task of any agent, of workers with nothing to do.
    `quiet`: since any process was heard of. `holders`: who has held a slot for longest,
    `longest_waiting`: agents whose oldest request has waited longest, five of each.
    """

    resource: str
    server: str
    state: str
    problems: list[str]
    capacity: int
    effective_capacity: int
    held: int
    peak: int
    waiting: int
    serving: int
    max_waiters: int | None
    oldest_wait: float | None
    oldest_waiting_agent: str | None
    alpha: float
    auto_tune: bool
    adaptive_capacity: bool
    rpm: int
    rpm_burst: int
    tpm: int
    tpm_burst: int
    held_back_for: float
    rate_wait: float
    granted_per_second: float | None
    granted_per_second_ever: float
    granted: int
    released: int
    reclaimed: int
    live_sessions: int
    competing: int
    registered: int
    durable_tasks: int
    delayed_tasks: int
    dead_tasks: int
    tick: int
    version: int
    lease_ttl: float
    events: int
    born: float
    server_time: float
    quiet: float
    holders: list[HolderRow]
    longest_waiting: list[WaitingAgentRow]


#: Fields that are the snapshot's.
_SAME = (
    {field.name for field in fields(StatusReport)} & {field.name for field in fields(Snapshot)}
) - {"holders", "rate_wait"}


def fetch(observer: Observer, interval: float, limits: Limits) -> StatusReport:
    """Reads who holds and who waits, and of agents only the few that are shown."""
    now, started = observer.snapshot(), time.monotonic()
    holders, waiters = observer.requests(now)
    longest = max(waiters, key=lambda waiter: waiter.age, default=None)
    oldest_held = sorted(holders, key=lambda holder: -holder.age)[:_ROWS]
    holder_table = holder_rows(oldest_held, observer.sessions(now))
    waiting = _longest_waiting(observer, waiters)
    speed = _speed(observer, now, interval - (time.monotonic() - started)) if interval else None
    age = now.server_time - now.born
    return StatusReport(
        resource=observer.name,
        server=observer.link.where,
        state=_state(now),
        problems=problems(now, longest, limits),
        oldest_wait=round(longest.age, 6) if longest else None,
        oldest_waiting_agent=longest.agent_id if longest else None,
        held_back_for=now.paused_for,
        rate_wait=round(now.rate_wait(), 6),
        granted_per_second=speed,
        granted_per_second_ever=round(now.granted / age, 6) if age > 0 else 0.0,
        holders=holder_table,
        longest_waiting=waiting,
        **{name: getattr(now, name) for name in _SAME},
    )


def _speed(observer: Observer, before: Snapshot, pause: float) -> float | None:
    """Grants a second between two looks; None if the counters began anew between them."""
    time.sleep(max(pause, 0.0))
    after = observer.snapshot()
    passed, granted = after.server_time - before.server_time, after.granted - before.granted
    return round(granted / passed, 6) if passed > 0 and granted >= 0 else None


def _state(now: Snapshot) -> str:
    if now.paused:
        return "paused"
    if now.paused_for > 0:
        return "throttled"
    return "rate" if now.rate_wait() > 0 else "granting"


def _longest_waiting(observer: Observer, waiters: tuple[Waiter, ...]) -> list[WaitingAgentRow]:
    count = Counter(waiter.agent_id for waiter in waiters)
    rows = []
    oldest: dict[str, Waiter] = {}
    for waiter in sorted(waiters, key=lambda waiter: -waiter.age):
        oldest.setdefault(waiter.agent_id, waiter)
    for agent, waiter in list(oldest.items())[:_ROWS]:
        try:
            found = observer.agent(agent)
        except UnknownAgentError:  # it was served meanwhile
            continue
        rows.append(
            WaitingAgentRow(
                agent_id=agent,
                waiting=count[agent],
                oldest_wait=round(waiter.age, 6),
                queue_depth_weighted=found.queue_depth_weighted,
                dmax=found.dmax,
                score=found.score,
                holding=found.holding,
            )
        )
    return rows


def problems(now: Snapshot, longest: Waiter | None, limits: Limits) -> list[str]:
    """What is wrong, in words, the worst first."""
    found = []
    wants = [
        f"{count:,} {noun}" + "s" * (count > 1)
        for count, noun in (
            (now.held, "held slot"),
            (now.waiting + now.serving, "waiting request"),
        )
        if count
    ]
    if now.competing and not now.waiting and not now.serving:
        wants.append(f"queued tasks of {now.competing:,} agent" + "s" * (now.competing > 1))
    if wants and now.live_sessions == 0:
        found.append(f"no live session for {' and '.join(wants)}")
    elif wants and now.quiet > now.lease_ttl:
        silence = f"no process was heard of for {seconds(now.quiet)}"
        found.append(f"{silence}, in spite of {' and '.join(wants)}")
    if now.paused:
        found.append("paused")
    if longest is not None and limits.wait is not None and longest.age > limits.wait:
        waits = f"{longest.agent_id} has waited for {seconds(longest.age)}"
        found.append(f"{waits}, longer than {limits.wait:g} s")
    if limits.waiters is not None and now.waiting > limits.waiters:
        found.append(f"{now.waiting:,} requests wait, more than {limits.waiters:,}")
    if limits.dead is not None and now.dead_tasks > limits.dead:
        found.append(f"dead tasks: {now.dead_tasks:,}, more than {limits.dead:,}")
    return found
