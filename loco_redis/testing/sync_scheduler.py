"""SyncTestScheduler: the decisions of a scheduler in memory, on a virtual clock, without asyncio.

Every decision is made by the reference model that the scripts are held against (`model_client`);
here is only what callers would do: ask for slots, hold them for a while, release them.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from loco_redis import _validate as validate
from loco_redis._replies import Grant
from loco_redis.config import Settings
from loco_redis.models import SharedResource, Task
from loco_redis.testing.mocks import MockAgent, mock_agent, mock_resource
from loco_redis.testing.model_client import ModelClient
from loco_redis.testing.run_result import GrantStep, ReleaseStep, RunResult

_MICRO = 1_000_000
_NEVER = float("inf")
_RATES = ("rpm", "rpm_burst", "tpm", "tpm_burst")

Step = GrantStep | ReleaseStep


class _Work(NamedTuple):
    """A task that comes at `at`; times in microseconds. Compares by the time, then the number."""

    at: int
    number: int
    agent: str
    weight: float
    duration: int
    tokens: int | None


class _End(NamedTuple):
    """When a slot comes back; of those of one moment, the one granted first."""

    at: int
    token: int
    request: int
    slot: int


class SyncTestScheduler:
    """Plays tasks to their end in memory: no Redis, no event loop, no waiting, the same each time.

    At each moment of the virtual clock the slots that are due come back first, one after the other,
    and each is given on at once. Then the tasks of that moment are queued, all before a slot that
    is free is given, so that the choice is among all of them.

    Args:
        agents: made by `mock_agent`, each with its tasks.
        resource: made by `mock_resource`, or any `SharedResource` with a capacity; by default one
            of one slot.
        optimize_for, alpha, auto_tune: as in `AsyncLOCOScheduler`.
        seed: in which order tasks of the same moment are queued; None: as the agents are listed,
            each with all of its tasks.

    Raises:
        ValueError: bad arguments, in one line.
    """

    def __init__(
        self,
        agents: Iterable[MockAgent] = (),
        resource: SharedResource | None = None,
        *,
        optimize_for: str | None = None,
        alpha: float | None = None,
        auto_tune: bool | None = None,
        seed: int | None = None,
    ) -> None:
        shared = _checked(resource)
        settings = Settings.of(
            name=shared.name,
            capacity=shared.capacity,
            optimize_for=optimize_for,
            alpha=alpha,
            auto_tune=auto_tune,
            **{name: getattr(shared, name) for name in _RATES},
        )
        self._name, self._capacity = shared.name, settings.capacity or 0
        self._agents = _by_id(agents)
        self._client = ModelClient(settings)
        self._micros, self._numbers = 0, 0
        self._arrivals: list[_Work] = []
        self._works: dict[int, _Work] = {}  # that wait or hold, by the number of the request
        self._ends: list[_End] = []
        self._grants: list[GrantStep] = []
        self._untold: deque[Step] = deque()
        most = {name: agent.max_concurrency for name, agent in self._agents.items()}
        self._client.cap({name: cap for name, cap in most.items() if cap is not None})
        self._plan(seed)

    def __repr__(self) -> str:
        return (
            f"<SyncTestScheduler {self._name!r} time={self.time:g} tick={self.tick} "
            f"to_come={len(self._arrivals)} waiting={len(self._works) - len(self._ends)} "
            f"held={len(self._ends)}/{self._capacity}>"
        )

    @property
    def tick(self) -> int:
        """Leases that have ended."""
        return self._client.state.tick

    @property
    def time(self) -> float:
        """Virtual seconds since the beginning."""
        return self._micros / _MICRO

    @property
    def alpha(self) -> float:
        """The one in force; `auto_tune` changes it."""
        return self._client.state.alpha

    def scores(self) -> dict[str, float]:
        """L(i) of each agent with tasks queued, as the next choice would see it."""
        return self._client.scores()

    def submit(
        self,
        agent_id: str,
        tasks: int = 1,
        *,
        weight: float | None = None,
        duration: float | None = None,
        tokens: int | None = None,
    ) -> None:
        """Let tasks of an agent come at this moment; the next step queues them. What is not given
        is the agent's own, or that of `mock_agent`.

        Raises:
            ValueError: as `mock_agent`.
        """
        own = self._agents.get(agent_id) or mock_agent(agent_id)
        agent = MockAgent(
            agent_id,
            tasks,
            own.weight if weight is None else weight,
            own.duration if duration is None else duration,
            tokens=own.tokens if tokens is None else tokens,
        )
        for _ in range(agent.tasks):
            self._arrive(agent, self._micros)

    def step(self) -> Step | None:
        """The next grant or release; None when nothing is left to happen. A release and the grant
        that it makes possible are one decision, told in two steps."""
        while not self._untold and self._advance(_NEVER):
            pass
        return self._untold.popleft() if self._untold else None

    def run(self, until: float | None = None) -> RunResult:
        """Play to the end, or up to `until` virtual seconds; what has been played so far."""
        last = _NEVER
        if until is not None:
            last = _micros(validate.seconds("until", until, self.time, 1e9))
        while self._advance(last):
            pass
        self._untold.clear()
        if until is not None:
            self._micros = max(self._micros, _micros(until))
        return self.result()

    def result(self) -> RunResult:
        """What has been played so far."""
        waiting = self._client.waiting()
        return RunResult(tuple(self._grants), waiting, self._capacity, self.tick, self.time)

    # What comes

    def _plan(self, seed: int | None) -> None:
        """Number all tasks, which orders those of one moment."""
        plan = [(agent, _micros(at)) for agent in self._agents.values() for at in agent.arrivals()]
        if seed is not None:
            random.Random(seed).shuffle(plan)
        for agent, at in plan:
            self._arrive(agent, at)

    def _arrive(self, agent: MockAgent, at: int) -> None:
        self._numbers += 1
        span = _micros(agent.duration)
        work = _Work(at, self._numbers, agent.agent_id, agent.weight, span, agent.tokens)
        heapq.heappush(self._arrivals, work)

    # What happens

    def _advance(self, last: float) -> bool:
        """Go to the next moment up to `last` and do what is first there; False if there is none."""
        end = self._ends[0].at if self._ends else _NEVER
        arrival = self._arrivals[0].at if self._arrivals else _NEVER
        wake = _NEVER if self._client.wake is None else self._client.wake
        moment = min(end, arrival, wake)
        if moment > last or moment == _NEVER:
            return False
        self._micros = max(self._micros, int(moment))
        if end == moment:
            self._release(heapq.heappop(self._ends))
        elif arrival == moment:
            self._queue_all()
        else:
            self._granted(self._client.look(self._micros))
        return True

    def _release(self, end: _End) -> None:
        grants = self._client.release(end.request, end.token, self._micros)
        work = self._works.pop(end.request)
        step = ReleaseStep(work.agent, work.number, end.slot, self.tick, self.time)
        self._untold.append(step)
        self._granted(grants)

    def _queue_all(self) -> None:
        """The tasks of this moment; the resource is paused until all of them are queued."""
        self._client.pause(True, self._micros)
        try:
            while self._arrivals and self._arrivals[0].at <= self._micros:
                work = heapq.heappop(self._arrivals)
                task = Task(work.weight, tokens=work.tokens)
                request, _ = self._client.acquire(work.agent, task, self._micros)
                self._works[request] = work
        finally:
            self._granted(self._client.pause(False, self._micros))

    def _granted(self, grants: Iterable[Grant]) -> None:
        for grant in grants:
            work = self._works[grant.sequence]
            until = self._micros + work.duration
            heapq.heappush(self._ends, _End(until, grant.token, grant.sequence, grant.slot))
            step = GrantStep(
                agent_id=work.agent,
                number=work.number,
                weight=work.weight,
                slot=grant.slot,
                score=grant.score,
                waited_ticks=grant.waited_ticks,
                waited_seconds=(self._micros - work.at) / _MICRO,
                tick=self.tick,
                time=self.time,
                duration=work.duration / _MICRO,
            )
            self._grants.append(step)
            self._untold.append(step)


def _micros(seconds: float) -> int:
    return round(seconds * _MICRO)


def _checked(resource: SharedResource | None) -> SharedResource:
    resource = mock_resource() if resource is None else resource
    if not isinstance(resource, SharedResource) or resource.capacity is None:
        raise ValueError(
            "resource must have a capacity, such as mock_resource(capacity=2), "
            f"got {validate.shown(resource)}"
        )
    return resource


def _by_id(agents: Iterable[MockAgent]) -> dict[str, MockAgent]:
    found: dict[str, MockAgent] = {}
    for agent in agents:
        if not isinstance(agent, MockAgent):
            raise ValueError(
                "agents must be made by mock_agent, such as mock_agent('webhook', tasks=2), "
                f"got {validate.shown(agent)}"
            )
        if agent.agent_id in found:
            raise ValueError(f"agent {validate.shown(agent.agent_id)} twice: give each one once")
        found[agent.agent_id] = agent
    return found
