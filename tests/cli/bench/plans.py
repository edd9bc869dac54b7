"""Plans of benchmarks, small ones, and what hosts may have handed in after them."""

from __future__ import annotations

from typing import Any

from loco_redis.cli.bench._clock import Reading
from loco_redis.cli.bench._figures import BenchPlan
from loco_redis.cli.bench._journal import Body, Missed
from loco_redis.cli.bench._result import HostResult, Tally

SECOND = 10**9


def plan(**given: Any) -> BenchPlan:
    values: dict[str, Any] = {
        "id": "test",
        "version": "0",
        "hosts": 2,
        "joined": False,
        "workers": 2,
        "tasks": 10,
        "capacity": 4,
        "hold": 0.01,
        "lease": 3.0,
        "alpha": None,
        "profile": "steady",
        "trace": "",
        "load": 0.8,
        "warmup": 1.0,
        "duration": 10.0,
        "runs": 1,
        "seed": 1,
        "kill_every": None,
        "netem": "",
    }
    return BenchPlan(**{**values, **given})


def handed_in(
    made_for: BenchPlan,
    *entries: Body | Missed,
    name: str = "host-1",
    domain: str = "clock",
    readings: tuple[Reading, ...] = (Reading(0.0, 0.0, 0.0),),
    start: float = 0.0,
    killed_at: int | None = None,
) -> HostResult:
    """The result of a host whose one worker wrote these entries, and was killed or ended well."""
    tally = Tally(made_for, round(start * SECOND))
    tally.add(iter(entries), killed_at or 0, killed=killed_at is not None)
    return HostResult(
        name=name,
        workers=1,
        domain=domain,
        start=start,
        cpu=1.0,
        errors={"LeaseLostError": 1},
        kills=() if killed_at is None else (killed_at,),
        readings=readings,
        classes=tally.classes(),
        agents=tally.agents(),
        arrivals=tally.arrivals(),
        holds=tally.holds(),
    )


def body(
    slot: int, token: int, start: float, end: float | None, due: float | None = None, agent: int = 0
) -> Body:
    """A body of the first class; times are seconds."""
    last = None if end is None else round(end * SECOND)
    first = round((start if due is None else due) * SECOND)
    return Body(0, agent, slot, token, first, round(start * SECOND), last)
