"""What a scenario measured: told by the workers, turned into figures. Does no I/O."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from loco_redis.cli.play import _oracle
from loco_redis.cli.play._oracle import Held
from loco_redis.cli.play._scenario_fifo import fifo
from loco_redis.cli.play._scenario_schedule import Job, kind, kinds
from loco_redis.cli.play._stats import jain, nearest_rank
from loco_redis.cli.play._workers import Message


@dataclass(frozen=True, slots=True)
class Waits:
    """Nearest-rank percentiles, the longest and the mean of waits; all 0.0 where there are none."""

    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    max: float = 0.0
    mean: float = 0.0

    @classmethod
    def of(cls, sample: Iterable[float]) -> Self:
        ordered = sorted(sample)
        if not ordered:
            return cls()
        ranks = (nearest_rank(ordered, percent) for percent in (50, 95, 99, 100))
        mean = math.fsum(ordered) / len(ordered)
        return cls(*(round(value, 4) for value in (*ranks, mean)))


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """All agents of one kind. Waits last from when a request was due to the begin of its body, in
    seconds and in ticks (releases); `fifo_seconds` is computed for first come, first served."""

    name: str
    agents: int
    requests: int
    grants: int
    wait_seconds: Waits
    wait_ticks: Waits
    fifo_seconds: Waits


@dataclass(frozen=True, slots=True)
class ScenarioReport:
    """One run of a scenario. Requests came for `seconds`, the last body ended after `took`;
    `utilization` is the slot time used of the slot time there was until then, 0.0 to 1.0.
    `fairness_of_service` is Jain's index of what each agent had got of what it had asked for when
    the last request came, `fairness_of_waits` that of the agents' mean waits. `peak` is the most
    slots held at once as Redis counted, `most_seen` as the workers saw it; `left` are slots held
    and requests waiting at the end. `failures` has a line for each promise that did not hold."""

    scenario: str
    seed: int
    agents: int
    processes: int
    capacity: int
    optimize_for: str
    seconds: float
    requests: int
    grants: int
    took: float
    utilization: float
    grants_per_second: float
    fairness_of_service: float
    fairness_of_waits: float
    peak: int
    most_seen: int
    left: int
    classes: list[ClassFigures]
    failures: list[str]


@dataclass(frozen=True, slots=True)
class Served:
    """One request that was served; its moments are seconds after the start."""

    job: Job
    due: float
    held: Held
    ticks: int

    @property
    def waited(self) -> float:
        return self.held.start - self.due


@dataclass
class Run:
    """What is known of a run.

    Attributes:
        start: by the machine's monotonic clock.
        peak, left: as in ScenarioReport.
        ghost: of each request when it would have been due and how long it would have waited.
    """

    scenario: str
    jobs: Sequence[Job]
    agents: int
    processes: int
    capacity: int
    optimize_for: str
    seconds: float
    seed: int
    start: float = 0.0
    served: list[Served] = field(default_factory=list)
    peak: int = 0
    left: int = 0

    def __post_init__(self) -> None:
        self.ghost = fifo(self.jobs, self.capacity)

    def hear(self, message: Message) -> None:
        """Take in what a worker says of a request that it has served."""
        begin, end = message["start"] - self.start, message["end"] - self.start
        held = Held(message["slot"], message["token"], begin, end)
        job = self.jobs[message["request"]]
        self.served.append(Served(job, message["due"] - self.start, held, message["ticks"]))

    def by_class(self) -> dict[str, list[Served]]:
        """What was served of each class, in order of the moments at which it was due."""
        found: dict[str, list[Served]] = {name: [] for name in kinds(self.jobs)}
        for one in sorted(self.served, key=lambda one: one.due):
            found[kind(one.job.agent)].append(one)
        return found

    def ghost_by_class(self) -> dict[str, list[tuple[float, float]]]:
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds(self.jobs)}
        for job in self.jobs:
            found[kind(job.agent)].append(self.ghost[job.number])
        return found

    def report(self) -> ScenarioReport:
        held = [one.held for one in self.served]
        took = max((h.end for h in held), default=0.0)
        used = math.fsum(h.end - h.start for h in held)
        return ScenarioReport(
            scenario=self.scenario,
            seed=self.seed,
            agents=self.agents,
            processes=self.processes,
            capacity=self.capacity,
            optimize_for=self.optimize_for,
            seconds=self.seconds,
            requests=len(self.jobs),
            grants=len(self.served),
            took=round(took, 3),
            utilization=round(used / (self.capacity * took), 4) if took else 0.0,
            grants_per_second=round(len(self.served) / took, 2) if took else 0.0,
            fairness_of_service=round(_fairness_of_service(self.served, self.seconds), 4),
            fairness_of_waits=round(_fairness_of_waits(self.served), 4),
            peak=self.peak,
            most_seen=_oracle.most_at_once(held),
            left=self.left,
            classes=self._classes(),
            failures=self._failures(held),
        )

    def _classes(self) -> list[ClassFigures]:
        ghosts = self.ghost_by_class()
        return [
            ClassFigures(
                name=name,
                agents=len({job.agent for job in self.jobs if kind(job.agent) == name}),
                requests=len(ghosts[name]),
                grants=len(served),
                wait_seconds=Waits.of(one.waited for one in served),
                wait_ticks=Waits.of(one.ticks for one in served),
                fifo_seconds=Waits.of(waited for _, waited in ghosts[name]),
            )
            for name, served in self.by_class().items()
        ]

    def _failures(self, held: Sequence[Held]) -> list[str]:
        found = _oracle.violations(held)[:1]
        if (most := max(self.peak, _oracle.most_at_once(held))) > self.capacity:
            found.append(f"{most} slots were held at once, the capacity is {self.capacity}")
        different = len({one.job.number for one in self.served})
        if not len(self.jobs) == len(self.served) == different:
            found.append(
                f"{len(self.jobs)} requests, of which {different} were served, "
                f"by {len(self.served)} grants"
            )
        if self.left:
            found.append(f"{self.left} slots and requests were left at the end")
        return found


def _fairness_of_service(served: Iterable[Served], until: float) -> float:
    """Of the shares of what each agent had asked for, measured in seconds of bodies."""
    asked: dict[str, float] = {}
    got: dict[str, float] = {}
    for one in served:
        if one.due < until:
            agent, begin, end = one.job.agent, one.held.start, one.held.end
            asked[agent] = asked.get(agent, 0.0) + end - begin
            got[agent] = got.get(agent, 0.0) + max(0.0, min(end, until) - begin)
    return jain([_share(got[agent], asked[agent]) for agent in asked])


def _share(got: float, asked: float) -> float:
    return got / asked if asked else 1.0


def _fairness_of_waits(served: Iterable[Served]) -> float:
    waits: dict[str, list[float]] = {}
    for one in served:
        waits.setdefault(one.job.agent, []).append(one.waited)
    return jain(_means(waits))


def _means(waits: Mapping[str, Sequence[float]]) -> list[float]:
    return [math.fsum(each) / len(each) for each in waits.values()]
