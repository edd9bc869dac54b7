"""From what the hosts have handed in to the figures of one run. Does no I/O."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from loco_redis.cli.bench import _server_stats as server_stats
from loco_redis.cli.bench._arrivals import Agents
from loco_redis.cli.bench._clock import best
from loco_redis.cli.bench._figures import (
    BenchPlan,
    ClassFigures,
    HostFigures,
    Moment,
    RunFigures,
    Verdict,
)
from loco_redis.cli.bench._histogram import Histogram
from loco_redis.cli.bench._result import HostResult
from loco_redis.cli.bench._server_stats import Look
from loco_redis.cli.bench._timebase import Timebase
from loco_redis.cli.play import _oracle
from loco_redis.cli.play._oracle import Held
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


@dataclass(frozen=True, slots=True)
class _Body:
    """One body in the server's time; `due` is when its request was."""

    held: Held
    due: float
    killed: bool


def figures(plan: BenchPlan, measured: Measured) -> RunFigures:
    """The figures of one run."""
    timebase = Timebase(measured.results)
    bodies = _bodies(measured.results, timebase)
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
        verdict=_verdict(plan, measured, bodies, timebase, _idle(bodies, begin, end)),
        timeline=_timeline(plan, measured.results, bodies, begin),
    )


def _bodies(results: Sequence[HostResult], timebase: Timebase) -> list[_Body]:
    found = []
    for result in results:
        clock = result.domain
        for hold in result.holds:
            start, end, due = (
                timebase.seconds(clock, moment) for moment in (hold.start, hold.end, hold.due)
            )
            held = Held(hold.slot, hold.token, start, end, clock)
            found.append(_Body(held, due, hold.killed))
    return found


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


def _used(bodies: Sequence[_Body], begin: float, end: float) -> float:
    """Seconds of slot time within the measured time in which a body ran."""
    return math.fsum(max(0.0, min(b.held.end, end) - max(b.held.start, begin)) for b in bodies)


def _fairness(results: Sequence[HostResult]) -> float:
    sums: dict[str, tuple[int, float]] = {}
    for result in results:
        for agent, (number, total) in result.agents.items():
            before, so_far = sums.get(agent, (0, 0.0))
            sums[agent] = (before + number, so_far + total)
    return jain([total / number for number, total in sums.values()])


def _by_slot(bodies: Sequence[_Body]) -> list[_Body]:
    return sorted(bodies, key=lambda body: (body.held.slot, body.held.token))


def _handoff(bodies: Sequence[_Body], begin: float, end: float) -> Histogram:
    """From a body's end to the next one's start on its slot, where that one waited already."""
    spans = Histogram()
    for earlier, later in pairwise(_by_slot(bodies)):
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


def _idle(bodies: Sequence[_Body], begin: float, end: float) -> float:
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
        killed=result.killed,
    )


def reclaim_bound(plan: BenchPlan) -> float:
    """Seconds in which a dead worker's slot is usable again: its lease, the interval of the others'
    heartbeats (a third of it), and a second for a machine that has much to do."""
    return plan.lease * 4 / 3 + 1.0


def _verdict(
    plan: BenchPlan,
    measured: Measured,
    bodies: Sequence[_Body],
    timebase: Timebase,
    idle_longest: float,
) -> Verdict:
    seen = _oracle.most_at_once(timebase.certain(body.held) for body in bodies)
    found = _oracle.violations([body.held for body in bodies], timebase.doubt)
    if (most := max(measured.peak, seen)) > plan.capacity:
        found.append(f"{most} slots were held at once, the capacity is {plan.capacity}")
    reclaims, bound = _reclaims(bodies), reclaim_bound(plan)
    if reclaims and max(reclaims) > bound:
        late = max(reclaims)
        found.append(f"a killed worker's slot was usable after {late:.2f} s, not {bound:.2f} s")
    return Verdict(
        holds=len(bodies),
        peak=measured.peak,
        peak_seen=seen,
        reclaims=len(reclaims),
        reclaim_longest=max(reclaims, default=None),
        reclaim_bound=bound,
        reclaimed=measured.reclaimed,
        idle_longest=idle_longest,
        violations=tuple(found),
    )


def _reclaims(bodies: Sequence[_Body]) -> list[float]:
    """Seconds from a kill until the next body on the same slot."""
    return [
        later.held.start - earlier.held.end
        for earlier, later in pairwise(_by_slot(bodies))
        if earlier.killed and earlier.held.slot == later.held.slot
    ]


def _timeline(
    plan: BenchPlan, results: Sequence[HostResult], bodies: Sequence[_Body], begin: float
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
