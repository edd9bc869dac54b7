"""When a request is due, whose it is, what it weighs and how long it holds: pure, by a seed.

Open loop: requests are due at moments that do not depend on how fast the earlier ones were served,
so a slow system cannot hide how long they wait (coordinated omission). Each worker draws its own
part of the fleet's arrivals; parts of a Poisson process add up to one.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise, repeat
from typing import NamedTuple

from loco_redis.cli.bench._figures import BenchPlan
from loco_redis.cli.play._trace import Recorded

PROFILES = ("steady", "burst", "spike", "mixed", "trace")


@dataclass(frozen=True, slots=True)
class AgentClass:
    """A kind of agents: its share of the requests, what they weigh, how long they hold (as a
    multiple of the plan's hold)."""

    name: str
    share: float
    weight: tuple[float, float]
    hold: float = 1.0


#: Agents that differ in weight only; `mixed` lets them differ in how long they hold, too.
_EQUAL = (
    AgentClass("interactive", 0.5, (1, 1)),
    AgentClass("standard", 0.3, (1, 3)),
    AgentClass("batch", 0.2, (3, 6)),
)
_MIXED = (
    AgentClass("interactive", 0.6, (1, 1), hold=0.4),
    AgentClass("standard", 0.3, (1, 3), hold=1.2),
    AgentClass("batch", 0.1, (3, 6), hold=4.0),
)
#: Of a trace: requests of up to a half, 2 and more times the mean of service.
_SIZES = (("short", 0.5), ("medium", 2.0), ("long", math.inf))

#: How far `mixed` spreads the holds of one class: sigma of a log-normal whose mean is 1.
_SPREAD = 0.5

#: Parts of a period: its share of the time, and the rate there as a multiple of the mean rate.
Shape = tuple[tuple[float, float], ...]
_FLAT: Shape = ((1.0, 1.0),)
_BURST: Shape = ((0.1, 10.0), (0.9, 0.0))
_SPIKE: Shape = ((0.4, 0.625), (0.2, 2.5), (0.4, 0.625))
_BURST_EVERY = 1.0  # seconds


class Arrival(NamedTuple):
    """One request: due `at` seconds after the start; None is at once, whenever it is asked for."""

    at: float | None
    kind: int
    agent: int
    weight: float
    hold: float


@dataclass(frozen=True, slots=True)
class Agents:
    """Who asks: the agents of each class, the same in every worker of the fleet.

    Attributes:
        classes: their names, in the order of `Arrival.kind`.
        names: of all agents, in the order of `Arrival.agent`.
    """

    classes: tuple[str, ...]
    names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, plan: BenchPlan) -> Agents:
        """So many as a worker has callers, at least one of each class."""
        if plan.profile == "trace":
            shares = [(name, 1 / len(_SIZES)) for name, _ in _SIZES]
        else:
            shares = [(kind.name, kind.share) for kind in classes_of(plan)]
        names: list[str] = []
        members = []
        for name, share in shares:
            number = max(1, round(share * plan.tasks))
            members.append(tuple(range(len(names), len(names) + number)))
            names += [f"{name}-{n:03d}" for n in range(1, number + 1)]
        return cls(tuple(name for name, _ in shares), tuple(names), tuple(members))


def classes_of(plan: BenchPlan) -> tuple[AgentClass, ...]:
    return _MIXED if plan.profile == "mixed" else _EQUAL


def drawn(plan: BenchPlan, *, run: int, place: int, places: int) -> Iterator[Arrival]:
    """The arrivals of worker `place` of `places` from the start on, in order, without an end."""
    rng = random.Random(f"{plan.seed}/{run}/{place}")
    agents, classes = Agents.of(plan), classes_of(plan)
    cumulative = [sum(c.share for c in classes[: n + 1]) for n in range(len(classes))]
    mean = sum(c.share * c.hold for c in classes)
    for at in _moments(plan, rng, places):
        (kind,) = rng.choices(range(len(classes)), cum_weights=cumulative)
        drawn_from = classes[kind]
        spread = rng.lognormvariate(-(_SPREAD**2) / 2, _SPREAD) if plan.profile == "mixed" else 1.0
        yield Arrival(
            at,
            kind,
            rng.choice(agents.members[kind]),
            round(rng.uniform(*drawn_from.weight), 3),
            plan.hold * drawn_from.hold / mean * spread,
        )


def _moments(plan: BenchPlan, rng: random.Random, places: int) -> Iterator[float | None]:
    if plan.load is None:
        yield from repeat(None)
    else:
        rate = plan.load * plan.capacity / plan.hold / places
        units = 0.0  # expected arrivals until now
        while True:
            units += rng.expovariate(1.0)
            yield _when(plan, units / rate)


def _when(plan: BenchPlan, flat: float) -> float:
    """The moment until which as much is expected as until `flat` at the mean rate."""
    if plan.profile == "burst":
        whole, rest = divmod(flat, _BURST_EVERY)
        return whole * _BURST_EVERY + _within(_BURST, rest, _BURST_EVERY)
    if plan.profile == "spike" and plan.warmup <= flat < plan.warmup + plan.duration:
        return plan.warmup + _within(_SPIKE, flat - plan.warmup, plan.duration)
    return flat


def _within(shape: Shape, flat: float, period: float) -> float:
    at = 0.0
    for share, factor in shape:
        if factor and flat <= share * factor * period:
            return at + flat / factor
        flat -= share * factor * period
        at += share * period
    return period


class Step(NamedTuple):
    """One request of a trace, fitted to a plan: microseconds after the one before, thousandths of
    weight, and hold as a multiple of the plan's, in thousandths."""

    gap: int
    weight: int
    hold: int


def fitted(trace: Sequence[Recorded], plan: BenchPlan) -> list[Step]:
    """A recorded trace at the plan's load: its order, its rhythm and its proportions of service are
    kept, its speed and its mean service become the plan's.

    Raises:
        ValueError: all its requests came at one moment, or none has any service.
    """
    span, mean = trace[-1].at, sum(r.service for r in trace) / len(trace)
    if not (span and mean):
        what = "come at one moment" if mean else "have no tokens"
        raise ValueError(f"the trace cannot be fitted: all its {len(trace)} requests {what}")
    rate = (plan.load or 1.0) * plan.capacity / plan.hold
    scale = (len(trace) - 1) / rate / span
    gaps = [1 / rate, *((later.at - earlier.at) * scale for earlier, later in pairwise(trace))]
    return [
        Step(round(gap * 1e6), round(r.weight * 1000), round(r.service / mean * 1000))
        for gap, r in zip(gaps, trace, strict=True)
    ]


def traced(
    plan: BenchPlan, steps: Sequence[Step], *, run: int, place: int, places: int
) -> Iterator[Arrival]:
    """Every `places`-th request of a fitted trace, which begins again when it is at its end."""
    rng = random.Random(f"{plan.seed}/{run}/{place}")
    agents = Agents.of(plan)
    now = 0
    for number in count():
        step = steps[number % len(steps)]
        now += step.gap
        if number % places == place:
            kind = next(k for k, (_, most) in enumerate(_SIZES) if step.hold <= most * 1000)
            agent = rng.choice(agents.members[kind])
            at = None if plan.load is None else now / 1e6
            yield Arrival(at, kind, agent, step.weight / 1000, plan.hold * step.hold / 1000)
