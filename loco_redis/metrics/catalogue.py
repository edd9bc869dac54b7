"""Which metrics there are: names, types, labels and help, the same for every way to export them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate
from typing import NamedTuple

PREFIX = "loco_redis_"


class Kind(Enum):
    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `labels` come after `resource`, which all have."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    @property
    def label_names(self) -> tuple[str, ...]:
        return ("resource", *self.labels)


class Distribution(NamedTuple):
    """How values lie in buckets, not cumulated: upper bounds, as many counts and one for what is
    above, and the sum of the values. Without bounds just their number and sum."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    def cumulated(self) -> list[tuple[str, int]]:
        """Upper bound, "+Inf" for the last, and how many values are not above it."""
        passed = accumulate(self.counts)
        return [*zip((*map(str, self.bounds), "+Inf"), passed, strict=True)]


class Point(NamedTuple):
    """A value for the labels of its metric."""

    labels: tuple[str, ...]
    value: float | Distribution


#: Metric name -> its points; metrics without points may be missing.
Points = dict[str, list[Point]]


def _gauges(*rows: tuple[str, str], labels: tuple[str, ...] = ()) -> list[Metric]:
    return [Metric(PREFIX + name, Kind.GAUGE, text, labels) for name, text in rows]


def _counters(*rows: tuple[str, str], labels: tuple[str, ...] = ()) -> list[Metric]:
    return [Metric(f"{PREFIX}{name}_total", Kind.COUNTER, text, labels) for name, text in rows]


RESOURCE = [
    *_gauges(
        ("up", "1 if the resource could be read at this scrape, else 0."),
        ("capacity", "Slots that there are."),
        (
            "effective_capacity",
            "Slots that may be held at present: fewer than capacity after a throttle, 0 paused.",
        ),
        ("holders", "Slots held."),
        ("waiters", "Requests waiting for a slot."),
        ("max_waiters", "Waiting requests beyond which more are refused; absent without a limit."),
        ("alpha", "Weight of queue depth against age in the choice, 0 to 1."),
        ("tick", "The logical clock: releases and reclaims so far."),
        ("paused", "1 while an operator has paused the resource, else 0."),
        ("throttle_seconds", "Time left for which nothing is granted, a holder being throttled."),
        ("rate_wait_seconds", "Time until the resource's own rate allows the next grant."),
        ("oldest_wait_seconds", "Age of the request that waits longest; 0 if none waits."),
        ("oldest_lease_seconds", "Age of the lease that is held longest; 0 if none is held."),
        ("sessions", "Scheduler objects with a live session."),
        ("competing_agents", "Agents with something queued."),
        ("durable_tasks", "Durable tasks, queued, delayed, running and dead."),
        ("delayed_tasks", "Durable tasks whose time has not come."),
        ("dead_tasks", "Durable tasks that used up their attempts or missed their deadlines."),
        ("idle_servers", "Requests waiting for a task of any agent: workers with nothing to do."),
        ("desired_workers", "Workers that work off what is queued within the exporter's --slo."),
        ("slo_violation_ratio", "Share of the last waits above the SLO's target; absent without."),
    ),
    *_gauges(("slo_state", "1 for the state that the SLO is in, 0 for others."), labels=("state",)),
    *_counters(
        ("grants", "Slots granted."),
        ("releases", "Leases ended by their holders."),
        ("reclaims", "Leases taken back from sessions that expired or closed."),
    ),
    *_counters(
        ("refusals", "Requests not served, by policy, backpressure or timeout."), labels=("reason",)
    ),
    *_counters(("team_cost", "Cost charged to a team, in units."), labels=("team",)),
    *_counters(("workflow_cost", "Cost charged to a workflow, in units."), labels=("workflow",)),
    *_counters(("model_cost", "Cost charged to a model, in units."), labels=("model",)),
    *_counters(("outcomes", "Pieces of work recorded with an outcome."), labels=("outcome",)),
    Metric(
        PREFIX + "wait_seconds",
        Kind.HISTOGRAM,
        "Wait of finished leases, from queue to grant; the sum is estimated from the buckets.",
    ),
    Metric(
        PREFIX + "wait_ticks",
        Kind.HISTOGRAM,
        "The same in releases of the resource; the sum is estimated from the buckets.",
    ),
]

AGENT = [
    *_gauges(
        ("agent_queue_depth", "Weight that an agent has queued."),
        (
            "agent_score",
            "L(i) times trust, 0 to 1.2: who is next. Absent for agents with nothing queued.",
        ),
        ("agent_dmax_ticks", "Age of an agent's oldest queued task in releases."),
        ("agent_holders", "Slots that an agent holds."),
        ("agent_waiters", "Requests of an agent waiting for a slot."),
        ("agent_oldest_wait_seconds", "Age of an agent's longest waiting request."),
        ("agent_budget_spent", "What an agent with a budget has spent in its period, in units."),
        ("agent_budget_unsettled", "Reserved by leases that were reclaimed, in units."),
        ("agent_budget_reserved", "Reserved by what waits or runs, in units."),
        ("agent_budget_limit", "What an agent may spend in its period, in units."),
        ("agent_trust_score", "How an agent's work goes, 0 to 1000; 500 where nothing is known."),
        labels=("agent",),
    ),
    *_counters(
        ("agent_cost", "Cost charged to an agent, in units; a corrected settlement may lower it."),
        ("agent_tokens", "LLM tokens recorded for an agent."),
        labels=("agent",),
    ),
    Metric(
        PREFIX + "agent_wait_seconds",
        Kind.SUMMARY,
        "Waits of an agent's finished leases: their number, and an estimate of their sum.",
        ("agent",),
    ),
    *_gauges(
        ("tenant_budget_spent", "What the agents of a tenant with a ceiling have spent, in units."),
        ("tenant_budget_unsettled", "Reserved by leases that were reclaimed, in units."),
        ("tenant_budget_reserved", "Reserved by what waits or runs, in units."),
        ("tenant_budget_limit", "What the agents of a tenant may spend together, in units."),
        labels=("tenant",),
    ),
]

PROCESS = [
    Metric(
        PREFIX + "script_seconds",
        Kind.HISTOGRAM,
        "In this process: from sending a script or command to Redis to its reply.",
        ("script",),
    ),
    *_counters(
        ("retries", "In this process: commands sent again because no reply had come."),
        labels=("script",),
    ),
    Metric(
        PREFIX + "handoff_seconds",
        Kind.HISTOGRAM,
        "In this process: from a grant in Redis to having it, by this host's clock, corrected by "
        "the server's clock as it was when the scheduler opened.",
    ),
    *_counters(("lost_hints", "In this process: grants found by polling, their hint being lost.")),
]

METRICS: Mapping[str, Metric] = {m.name: m for m in (*RESOURCE, *AGENT, *PROCESS)}
