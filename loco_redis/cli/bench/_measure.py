"""From what the hosts have handed in to the figures of one run. Does no I/O."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from loco_redis.cli.bench import _server_stats as server_stats
from loco_redis.cli.bench._arrivals import Agents
from loco_redis.cli.bench._bodies import Body, bodies_of, by_slot
from loco_redis.cli.bench._clock import best
from loco_redis.cli.bench._figures import (
    BenchPlan,
    ClassFigures,
    HostFigures,
    Moment,
    RunFigures,
)
from loco_redis.cli.bench._histogram import Histogram
from loco_redis.cli.bench._result import HostResult
from loco_redis.cli.bench._server_stats import Look
from loco_redis.cli.bench._timebase import Timebase
from loco_redis.cli.bench._verdict import verdict
from loco_redis.cli.play._stats import jain


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run brought.

    Attributes:
        start: of the run, in the server's time.
        looks: at the server, at the start and the end of the measured time.
        silences: of each host, the longest time that it was not heard of.
        peak: most slots held at once, as Redis counted.
        reclaimed: leases that Redis took back.
    """

    run: int
    start: float
    looks: tuple[Look, Look]
    silences: Mapping[str, float]
    peak: int
    reclaimed: int
    results: Sequence[HostResult]


def figures(plan: BenchPlan, measured: Measured) -> RunFigures:
    """The figures of one run."""
    timebase = Timebase(measured.results)
    bodies = bodies_of(measured.results, timebase)
    begin = measured.start + plan.warmup
    end = begin + plan.duration
    inside = [body for body in bodies if begin <= body.held.start < end]
    classes = _classes(plan, measured.results)
    waits = Histogram()
    for result in measured.results:
        for count in result.classes:
            waits.add(Histogram(count.wait))
    due = sum(sum(result.arrivals) for result in measured.results)
    return RunFigures(
        run=measured.run,
        seconds=plan.duration,
        grants=len(inside),
        grants_per_second=len(inside) / plan.duration,
        arrivals_per_second=due / plan.duration,
        unserved=sum(figures.unserved for figures in classes),
        utilization=_used(bodies, begin, end) / (plan.capacity * plan.duration),
        jain=_fairness(measured.results),
        handoff=_handoff(bodies, begin, end).spans(),
        wait=waits.spans(),
        classes=classes,
        hosts=tuple(
            _host(plan, result, measured.silences, _pause(result, timebase, begin, end))
            for result in measured.results
        ),
        server=server_stats.between(*measured.looks, grants=len(inside)),
        workers_cpu=sum(result.cpu for result in measured.results) / plan.duration,
        verdict=verdict(
            plan,
            bodies,
            timebase,
            kills=_kills(measured.results, timebase),
            peak=measured.peak,
            reclaimed=measured.reclaimed,
            idle_longest=_idle(bodies, begin, end),
        ),
        timeline=_timeline(plan, measured.results, bodies, begin),
    )


def _kills(results: Sequence[HostResult], timebase: Timebase) -> list[float]:
    return [timebase.seconds(result.domain, at) for result in results for at in result.kills]


def _classes(plan: BenchPlan, results: Sequence[HostResult]) -> tuple[ClassFigures, ...]:
    agents = Agents.of(plan)
    made = []
    for place, (name, members) in enumerate(zip(agents.classes, agents.members, strict=True)):
        counts = [result.classes[place] for result in results]
        waits = Histogram()
        for count in counts:
            waits.add(Histogram(count.wait))
        made.append(
            ClassFigures(
                name,
                len(members),
                sum(count.grants for count in counts),
                sum(count.unserved for count in counts),
                waits.spans(),
            )
        )
    return tuple(made)


def _used(bodies: Sequence[Body], begin: float, end: float) -> float:
    """Seconds of slot time within the measured time in which a body ran."""
    return math.fsum(max(0.0, min(b.held.end, end) - max(b.held.start, begin)) for b in bodies)


def _fairness(results: Sequence[HostResult]) -> float:
    sums: dict[str, tuple[int, float]] = {}
    for result in results:
        for agent, (number, total) in result.agents.items():
            before, so_far = sums.get(agent, (0, 0.0))
            sums[agent] = (before + number, so_far + total)
    return jain([total / number for number, total in sums.values()])


def _handoff(bodies: Sequence[Body], begin: float, end: float) -> Histogram:
    """From a body's end to the next one's start on its slot, where that one waited already."""
    spans = Histogram()
    for earlier, later in pairwise(by_slot(bodies)):
        if (
            earlier.held.slot == later.held.slot
            and begin <= earlier.held.end < end
            and later.due < earlier.held.end
            and not earlier.killed
        ):
            spans.record(round((later.held.start - earlier.held.end) * 1e9))
    return spans


def _longest_gap(covered: Iterable[tuple[float, float]], begin: float, end: float) -> float:
    """The longest part of the time from `begin` to `end` that no span touches."""
    longest, last = 0.0, begin
    for start, until in (*sorted(covered), (end, end)):
        longest = max(longest, min(start, end) - last)
        last = max(last, until)
    return longest


def _pause(result: HostResult, timebase: Timebase, begin: float, end: float) -> float:
    starts = (timebase.seconds(result.domain, hold.start) for hold in result.holds)
    return _longest_gap(((start, start) for start in starts), begin, end)


def _idle(bodies: Sequence[Body], begin: float, end: float) -> float:
    by_slot: dict[int, list[tuple[float, float]]] = {}
    for body in bodies:
        by_slot.setdefault(body.held.slot, []).append((body.held.start, body.held.end))
    return max((_longest_gap(spans, begin, end) for spans in by_slot.values()), default=0.0)


def _host(
    plan: BenchPlan, result: HostResult, silences: Mapping[str, float], pause: float
) -> HostFigures:
    reading = best(result.readings)
    return HostFigures(
        name=result.name,
        workers=result.workers,
        grants=sum(count.grants for count in result.classes),
        offset=reading.offset,
        offset_error=reading.error,
        ping=2 * reading.error,
        cpu=result.cpu / plan.duration,
        errors=result.errors,
        silence=silences.get(result.name, 0.0),
        pause=pause,
        killed=len(result.kills),
    )


def _timeline(
    plan: BenchPlan, results: Sequence[HostResult], bodies: Sequence[Body], begin: float
) -> tuple[Moment, ...]:
    seconds = max(1, round(plan.duration))
    grants, used = [0] * seconds, [0.0] * seconds
    for body in bodies:
        start, end = body.held.start - begin, body.held.end - begin
        if 0 <= start < seconds:
            grants[int(start)] += 1
        for second in range(max(0, int(start)), min(seconds, math.ceil(end))):
            used[second] += max(0.0, min(end, second + 1) - max(start, second))
    arrivals = [sum(result.arrivals[n] for result in results) for n in range(seconds)]
    return tuple(Moment(n, grants[n], arrivals[n], used[n] / plan.capacity) for n in range(seconds))
