"""What a replay measured: told by the workers, turned into figures. Does no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rich.console import Group
from rich.text import Text

from loco_redis.cli._console import table
from loco_redis.cli.play import _oracle
from loco_redis.cli.play._oracle import Held
from loco_redis.cli.play._render import agents_table, figures_json
from loco_redis.cli.play._stats import AgentFigures, Percentiles, jain
from loco_redis.cli.play._workers import Message


@dataclass(frozen=True, slots=True)
class Served:
    """One request that was served; `waited` is seconds of the wall clock."""

    request: int
    held: Held
    waited: float
    ticks: int


@dataclass
class Report:
    """The figures of one replay. Waits are given in seconds of the trace: wall clock times speed.

    Attributes:
        owners, costs: agent and cost of each request, by its number.
        peak: most slots ever held at once, as Redis counted.
    """

    owners: Sequence[str]
    costs: Sequence[float]
    capacity: int
    speed: float
    served: list[Served] = field(default_factory=list)
    peak: int = 0

    def hear(self, message: Message) -> None:
        """Take in what a worker says of a request that it has served."""
        held = Held(message["slot"], message["token"], message["start"], message["end"])
        self.served.append(Served(message["request"], held, message["waited"], message["ticks"]))

    @property
    def lost(self) -> int:
        """Requests that were not served, or served more than once."""
        return len(self.owners) - len({s.request for s in self.served}) + self._repeated

    @property
    def _repeated(self) -> int:
        return len(self.served) - len({s.request for s in self.served})

    @cached_property
    def violations(self) -> list[str]:
        """What the outside oracle found wrong; nothing, if the promises held."""
        return _oracle.violations([s.held for s in self.served])

    @property
    def failures(self) -> list[str]:
        """One line for each promise that did not hold."""
        found = self.violations[:1]
        if (most := max(self.peak, self.most_seen)) > self.capacity:
            found.append(f"{most} slots were held at once, the capacity is {self.capacity}")
        if self.lost:
            found.append(f"{self.lost} of {len(self.owners)} requests were not served once")
        return found

    @property
    def most_seen(self) -> int:
        """Most slots held at once, as the workers saw it."""
        return _oracle.most_at_once(s.held for s in self.served)

    @property
    def seconds(self) -> float:
        """Of the wall clock, from the first request's moment to the last one's end."""
        begin = min((s.held.start - s.waited for s in self.served), default=0.0)
        return max((s.held.end for s in self.served), default=0.0) - begin

    @property
    def utilization(self) -> float:
        """Slot time used of the slot time there was, 0.0 to 1.0."""
        used = sum(s.held.end - s.held.start for s in self.served)
        return used / (self.capacity * self.seconds) if self.served else 0.0

    @property
    def grants_per_second(self) -> float:
        """Of the wall clock."""
        return len(self.served) / self.seconds if self.served else 0.0

    @property
    def fairness(self) -> float:
        """Jain's index of the agents' mean waits."""
        return jain([row.seconds.mean for row in self.agents()])

    def agents(self) -> list[AgentFigures]:
        """Of each agent that was served, by name."""
        by_agent: dict[str, list[Served]] = {}
        for served in self.served:
            by_agent.setdefault(self.owners[served.request], []).append(served)
        return [self._figures(agent, own) for agent, own in sorted(by_agent.items())]

    def total(self) -> AgentFigures:
        return self._figures("all", self.served)

    def _figures(self, agent: str, own: Sequence[Served]) -> AgentFigures:
        return AgentFigures(
            agent,
            len(own),
            sum(self.costs[s.request] for s in own),
            Percentiles.of([s.waited * self.speed for s in own]),
            Percentiles.of([s.ticks for s in own]),
        )


def render(report: Report) -> Group:
    """The table of the agents, then the figures of the whole."""
    facts = table("", "", left=2)
    facts.show_header = False
    for name, value in (
        ("utilisation", f"{report.utilization:.1%} of {report.capacity} slots"),
        ("fairness of mean waits", f"{report.fairness:.3f} (Jain's index, 1 = equal)"),
        ("most slots held at once", f"Redis {report.peak}, workers {report.most_seen}"),
        ("grants", f"{report.grants_per_second:.1f} per second of the wall clock"),
        ("took", f"{report.seconds:.1f} s at speed {report.speed:g}"),
    ):
        facts.add_row(name, value)
    return Group(
        Text("Waits in seconds of the trace (wall clock times speed) and in ticks (releases)"),
        Text(),
        agents_table(report.agents(), report.total(), "requests"),
        Text(),
        facts,
    )


def to_json(report: Report) -> dict[str, Any]:
    """For --json; waits in seconds of the trace."""
    return {
        "ok": not report.failures,
        "requests": len(report.owners),
        "served": len(report.served),
        "lost": report.lost,
        "capacity": report.capacity,
        "peak": report.peak,
        "speed": report.speed,
        "seconds": round(report.seconds, 3),
        "utilization": round(report.utilization, 4),
        "fairness": round(report.fairness, 4),
        "grants_per_second": round(report.grants_per_second, 2),
        "agents": [figures_json(row) for row in report.agents()],
        "total": figures_json(report.total()),
        "failures": report.failures,
    }
