"""Readings and process figures as points of the metrics. Pure; the number of points is bounded."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import chain

from loco_redis._replies import Standing
from loco_redis.governance.slo import SLOState
from loco_redis.governance.trust import BASELINE
from loco_redis.metrics.catalogue import PREFIX, Distribution, Point, Points
from loco_redis.metrics.process import BOUNDS, Latencies, ProcessFigures
from loco_redis.metrics.reading import Reading
from loco_redis.metrics.tallies import OTHER
from loco_redis.metrics.waits import Cells, wait_times
from loco_redis.snapshots import AgentSnapshot

_MICROSECONDS = 1_000_000
# Octaves: bucket n ends at 2**n - 1, so bounds are exact; from 1 ms to 71 minutes, 0 to 1M ticks.
_SECOND_OCTAVES = (0, *range(10, 33))
_TICK_OCTAVES = tuple(range(21))


def resource_points(reading: Reading, limit: int, desired_workers: int | None = None) -> Points:
    """Of one resource that could be read; at most `limit` agents, teams and so on for a metric."""
    made = _Made(reading.snapshot.name)
    made.add("up", 1)
    if desired_workers is not None:
        made.add("desired_workers", desired_workers)
    _numbers(made, reading)
    _totals(made, reading, limit)
    _agents(made, reading, limit)
    _accounts(made, "agent", reading.budgets)
    _accounts(made, "tenant", reading.ceilings)
    # The furthest from what is said of those of whom nothing is known.
    told = _greatest(
        {agent: abs(score - BASELINE) for agent, score in reading.trust.items()}, limit
    )
    made.by_name("agent_trust_score", {agent: reading.trust[agent] for agent in told})
    return made.points


def unread_points(name: str) -> Points:
    """Of one that could not be read."""
    made = _Made(name)
    made.add("up", 0)
    return made.points


def process_points(name: str, figures: ProcessFigures) -> Points:
    """What this process has measured."""
    made = _Made(name)
    for script, latencies in sorted(figures.scripts.items()):
        made.add("script_seconds", _latencies(latencies), script)
    # From 0 on: a counter that appears with its first retry would hide it from rate().
    scripts = sorted({*figures.scripts, *figures.retries})
    made.by_name("retries_total", {script: figures.retries[script] for script in scripts})
    made.add("handoff_seconds", _latencies(figures.handoff))
    made.add("lost_hints_total", figures.lost_hints)
    return made.points


def joined(parts: Iterable[Points]) -> Points:
    """The points of several resources."""
    found: Points = defaultdict(list)
    for part in parts:
        for name, points in part.items():
            found[name] += points
    return found


class _Made:
    """Points of one resource, as they are made."""

    def __init__(self, resource: str) -> None:
        self._resource = resource
        self.points: Points = defaultdict(list)

    def add(self, metric: str, value: float | Distribution, *labels: str) -> None:
        self.points[PREFIX + metric].append(Point((self._resource, *labels), value))

    def by_name(self, metric: str, values: Mapping[str, float | Distribution]) -> None:
        for name, value in values.items():
            self.add(metric, value, name)


def _numbers(made: _Made, reading: Reading) -> None:
    now, requests = reading.snapshot, reading.requests
    made.add("capacity", now.capacity)
    made.add("effective_capacity", now.effective_capacity)
    made.add("holders", now.held)
    made.add("waiters", now.waiting)
    if now.max_waiters is not None:
        made.add("max_waiters", now.max_waiters)
    made.add("alpha", now.alpha)
    made.add("tick", now.tick)
    made.add("paused", now.paused)
    made.add("throttle_seconds", now.paused_for)
    made.add("rate_wait_seconds", now.rate_wait())
    made.add("oldest_wait_seconds", max((w.age for w in requests.waiters), default=0.0))
    made.add("oldest_lease_seconds", max((h.age for h in requests.holders), default=0.0))
    made.add("sessions", now.live_sessions)
    made.add("competing_agents", now.competing)
    made.add("durable_tasks", now.durable_tasks)
    made.add("delayed_tasks", now.delayed_tasks)
    made.add("dead_tasks", now.dead_tasks)
    made.add("idle_servers", now.serving)
    if reading.slo is not None:
        violations, state = reading.slo
        made.add("slo_violation_ratio", violations)
        made.by_name("slo_state", {known.value: known is state for known in SLOState})


def _totals(made: _Made, reading: Reading, limit: int) -> None:
    now, figures = reading.snapshot, reading.figures
    made.add("grants_total", now.granted)
    made.add("releases_total", now.released)
    made.add("reclaims_total", now.reclaimed)
    made.by_name("refusals_total", _bounded(figures.refusals, limit))
    for by in ("team", "workflow", "model", "agent"):
        made.by_name(f"{by}_cost_total", _bounded(figures.costs[by], limit))
    made.by_name("outcomes_total", _bounded(figures.outcomes, limit))
    made.by_name("agent_tokens_total", _bounded(figures.tokens, limit))
    cells = [*chain.from_iterable(figures.waits.values())]
    times = wait_times(cells)
    micros = Counter[int]()
    ticks = Counter[int]()
    for (tick_octave, micro_octave), leases in cells:
        ticks[tick_octave] += leases
        micros[micro_octave] += leases
    spent = times.mean_seconds * times.count
    made.add("wait_seconds", _octaves(micros, _SECOND_OCTAVES, _MICROSECONDS, spent))
    made.add("wait_ticks", _octaves(ticks, _TICK_OCTAVES, 1, times.mean_ticks * times.count))
    made.by_name("agent_wait_seconds", _waits_of_agents(figures.waits, limit))


def _waits_of_agents(waits: Mapping[str, Cells], limit: int) -> dict[str, Distribution]:
    counts = {agent: sum(leases for _, leases in cells) for agent, cells in waits.items()}
    chosen = _greatest(counts, limit)
    grouped: dict[str, Cells] = {agent: waits[agent] for agent in chosen}
    rest = [cell for agent, cells in waits.items() if agent not in chosen for cell in cells]
    if rest:
        grouped[OTHER] = [*grouped.get(OTHER, ()), *rest]
    found = {}
    for agent, cells in grouped.items():
        times = wait_times(cells)
        found[agent] = Distribution((), (times.count,), times.mean_seconds * times.count)
    return found


def _agents(made: _Made, reading: Reading, limit: int) -> None:
    oldest: dict[str, float] = {}
    for waiter in reading.requests.waiters:
        oldest[waiter.agent_id] = max(waiter.age, oldest.get(waiter.agent_id, 0.0))
    ranked = sorted(reading.agents, key=lambda agent: (-agent.score, -agent.holding))
    for agent in ranked[:limit]:
        name = agent.agent_id
        if agent.queued:
            made.add("agent_score", agent.score, name)
        made.add("agent_dmax_ticks", agent.dmax, name)
        made.add("agent_oldest_wait_seconds", oldest.get(name, 0.0), name)
    sums: dict[str, Callable[[AgentSnapshot], float]] = {
        "agent_queue_depth": lambda agent: agent.queue_depth_weighted,
        "agent_holders": lambda agent: agent.holding,
        "agent_waiters": lambda agent: agent.waiting,
    }
    for metric, figure in sums.items():
        values = {agent.agent_id: figure(agent) for agent in ranked}
        chosen = [agent.agent_id for agent in ranked[:limit]]
        made.by_name(metric, _rest_summed(values, chosen))


def _accounts(made: _Made, scope: str, accounts: Mapping[str, Standing]) -> None:
    for name, row in accounts.items():
        made.add(f"{scope}_budget_spent", row.spent, name)
        made.add(f"{scope}_budget_unsettled", row.unsettled, name)
        made.add(f"{scope}_budget_reserved", row.reserved, name)
        if row.limit is not None:
            made.add(f"{scope}_budget_limit", row.limit, name)


def _greatest(values: Mapping[str, float], limit: int) -> dict[str, float]:
    """The greatest values; of equal ones always the same."""
    chosen = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    return dict(chosen[:limit])


def _bounded(values: Mapping[str, float], limit: int) -> dict[str, float]:
    """The greatest, and the sum of the rest as `__other__`."""
    return _rest_summed(values, _greatest(values, limit))


def _rest_summed(values: Mapping[str, float], chosen: Iterable[str]) -> dict[str, float]:
    kept = {name: values[name] for name in chosen}
    rest = [value for name, value in values.items() if name not in kept]
    if rest:
        kept[OTHER] = kept.get(OTHER, 0.0) + sum(rest)
    return kept


def _octaves(
    counted: Counter[int], octaves: tuple[int, ...], unit: int, total: float
) -> Distribution:
    """Buckets that end where an octave does."""
    counts = [0] * (len(octaves) + 1)
    for octave, leases in counted.items():
        place = next((i for i, last in enumerate(octaves) if octave <= last), len(octaves))
        counts[place] += leases
    bounds = tuple(((1 << octave) - 1) / unit for octave in octaves)
    return Distribution(bounds, tuple(counts), total)


def _latencies(found: Latencies) -> Distribution:
    return Distribution(BOUNDS, tuple(found.counts), found.total)
