"""The bodies of all hosts, on one clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loco_redis.cli.bench._result import HostResult
from loco_redis.cli.bench._timebase import Timebase
from loco_redis.cli.play._oracle import Held


@dataclass(frozen=True, slots=True)
class Body:
    """One body in the server's time; `due` is when its request was."""

    held: Held
    due: float
    killed: bool


def bodies_of(results: Sequence[HostResult], timebase: Timebase) -> list[Body]:
    found = []
    for result in results:
        clock = result.domain
        for hold in result.holds:
            start, end, due = (
                timebase.seconds(clock, moment) for moment in (hold.start, hold.end, hold.due)
            )
            held = Held(hold.slot, hold.token, start, end, clock)
            found.append(Body(held, due, hold.killed))
    return found


def by_slot(bodies: Sequence[Body]) -> list[Body]:
    """Slot after slot, in the order of the grants."""
    return sorted(bodies, key=lambda body: (body.held.slot, body.held.token))
