"""What came of a run of a `SyncTestScheduler`: its steps, and figures of its waits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from loco_redis.metrics.waits import jain


@dataclass(frozen=True, slots=True)
class GrantStep:
    """A slot was given.

    Attributes:
        number: of the task, from 1 in the order in which tasks were queued.
        score: L(i) of its agent, which no other candidate exceeded.
        waited_ticks, waited_seconds: how long this task waited.
        tick, time: when it was, in ticks and in virtual seconds.
        duration: for how many virtual seconds it holds the slot.
    """

    kind: ClassVar[str] = "granted"
    agent_id: str
    number: int
    weight: float
    slot: int
    score: float
    waited_ticks: int
    waited_seconds: float
    tick: int
    time: float
    duration: float


@dataclass(frozen=True, slots=True)
class ReleaseStep:
    """A slot came back. `tick` is the one that this release made."""

    kind: ClassVar[str] = "released"
    agent_id: str
    number: int
    slot: int
    tick: int
    time: float


@dataclass(frozen=True, slots=True)
class RunResult:
    """What has been played so far.

    Attributes:
        grants: every grant, in order.
        waiting: for each agent with tasks that came and wait yet, for how many ticks each does.
        capacity: of the resource.
        ticks, time: how many leases have ended, and the virtual seconds that passed.
    """

    grants: tuple[GrantStep, ...]
    waiting: Mapping[str, tuple[int, ...]]
    capacity: int
    ticks: int
    time: float

    @property
    def order(self) -> list[str]:
        """The agents in the order in which they were given slots."""
        return [grant.agent_id for grant in self.grants]

    @property
    def waits(self) -> dict[str, list[int]]:
        """For each agent, how many ticks each of its granted tasks had waited."""
        found: dict[str, list[int]] = {agent: [] for agent in self.waiting}
        for grant in self.grants:
            found.setdefault(grant.agent_id, []).append(grant.waited_ticks)
        return found

    @property
    def max_wait(self) -> int:
        """The longest wait in ticks, tasks that wait yet included; 0 if there was no task."""
        return max((max(waits) for waits in self._all_waits().values()), default=0)

    @property
    def mean_wait(self) -> float:
        """Of the granted tasks, in ticks; 0 if there is none."""
        waits = [grant.waited_ticks for grant in self.grants]
        return sum(waits) / len(waits) if waits else 0.0

    @property
    def utilization(self) -> float:
        """The part of capacity times time for which slots were held, 0 to 1; 0 if no time passed
        or there are no slots."""
        busy = math.fsum(
            min(grant.duration, self.time - grant.time)
            for grant in self.grants
            if grant.time < self.time
        )
        whole = self.capacity * self.time
        return busy / whole if whole else 0.0

    @property
    def starved(self) -> tuple[str, ...]:
        """Agents with tasks that wait, of which none has been granted."""
        served = {grant.agent_id for grant in self.grants}
        return tuple(sorted(agent for agent in self.waiting if agent not in served))

    @property
    def fairness(self) -> float:
        """Jain's index of the agents' mean waits, tasks that wait yet included: 1.0 when all are
        equal, 1/n when one of n agents does all the waiting."""
        waits = self._all_waits().values()
        common = math.lcm(*map(len, waits))  # the index is the same for all of them times a number
        return jain(sum(ticks) * (common // len(ticks)) for ticks in waits) if waits else 1.0

    def assert_served(self, agent_id: str, within_ticks: int | None = None) -> None:
        """Every task of the agent that came was granted, and waited at most `within_ticks`.

        Raises:
            AssertionError: it was not so, or the agent had no task.
        """
        waits, waiting = self.waits.get(agent_id, []), self.waiting.get(agent_id, ())
        if not waits and not waiting:
            known = ", ".join(map(repr, self._all_waits())) or "none"
            raise AssertionError(f"{agent_id!r} had no task; agents that had one: {known}")
        if waiting:
            raise AssertionError(
                f"{agent_id!r} has {len(waiting)} of {len(waits) + len(waiting)} tasks waiting, "
                f"the oldest for {max(waiting)} ticks"
            )
        if within_ticks is not None and max(waits) > within_ticks:
            number = waits.index(max(waits)) + 1
            raise AssertionError(
                f"{agent_id!r} waited {max(waits)} ticks for grant {number} of {len(waits)}, "
                f"allowed are {within_ticks}"
            )

    def _all_waits(self) -> dict[str, list[int]]:
        found = self.waits
        for agent, ticks in self.waiting.items():
            found[agent] = [*found[agent], *ticks]
        return found
