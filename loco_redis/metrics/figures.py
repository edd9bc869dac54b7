"""Figures of a scheduler, read from Redis when asked for."""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

from loco_redis import _hashes as hashes
from loco_redis import _validate as validate
from loco_redis.metrics.attribution import CostAttribution
from loco_redis.metrics.outcomes import OutcomeTracker
from loco_redis.metrics.tallies import OTHER, Tallies, Use, entry
from loco_redis.metrics.waits import Cells, WaitTimes, jain, wait_times, waits_by_agent
from loco_redis.models import Task

_MAX_TOKENS = 10**12
_TOKENS_PER_WEIGHT = 1000


class AlphaAdjustment(NamedTuple):
    """At `tick` (releases so far) alpha became `alpha`, and why."""

    tick: int
    alpha: float
    reason: str


class SchedulerMetrics:
    """Figures over the whole fleet. Costs are what was settled, in the unit of whoever settled it,
    else the task's weight. Beyond 10,000 names of one kind the rest is counted as `__other__`.

    Attributes:
        attribution: costs by team, workflow and model.
        outcomes: what came of the work.
    """

    def __init__(self, use: Use) -> None:
        self._use = use
        self._tallies = Tallies(use)
        self.attribution = CostAttribution(self._tallies, self.cost_by_agent)
        self.outcomes = OutcomeTracker(self._tallies)

    # Costs

    async def cost_by_agent(self) -> dict[str, float]:
        """Agent id -> cost of its finished leases."""
        session = await self._use()
        key = session.scripts.keys.costs
        raw = (await session.outbox.send_raw(session.backend_timeout, "HGETALL", key)).reply
        # RESP3 gives a map.
        pairs = raw.items() if isinstance(raw, dict) else zip(raw[::2], raw[1::2], strict=True)
        return {agent.decode(): int(cost) / validate.THOUSAND for agent, cost in pairs}

    async def agent_cost(self, agent_id: str) -> float:
        """0.0 for an agent that never finished anything."""
        session = await self._use()
        cost = await hashes.get(session, session.scripts.keys.costs, agent_id.encode())
        return int(cost or 0) / validate.THOUSAND

    async def total_cost(self) -> float:
        return sum((await self.cost_by_agent()).values())

    async def cost_by_session(self) -> dict[str, float]:
        """`session_id` of the tasks -> their cost."""
        return await self._tallies.costs("s")

    async def session_cost(self, session_id: str) -> float:
        """0.0 for an unknown one."""
        return (await self._tallies.one("s", session_id) or 0) / validate.THOUSAND

    async def cost_by_session_and_agent(self, session_id: str) -> dict[str, float]:
        """Agent id -> its cost in this session."""
        return await self._tallies.costs("sa", session_id)

    async def sessions(self) -> list[str]:
        """The `session_id`s that cost something, in order."""
        return sorted(await self.cost_by_session())

    # Tokens

    async def record_actual_tokens(self, agent_id: str, task: Task | str, tokens: int) -> None:
        """Count what a piece of work really needed: for its agent, and in the moving average of its
        type.

        Args:
            task: the task, or just its task_type.

        Raises:
            ValueError: tokens that are no int from 0 to 1e12, a bad agent or type.
        """
        named = validate.label("task_type", task.task_type if isinstance(task, Task) else task)
        validate.count("tokens", tokens, 0, _MAX_TOKENS)
        agent = validate.agent_id(agent_id)
        await self._tallies.add(entry("k", agent, tokens), entry("x", named, tokens))

    async def empirical_weight(self, task_type: str) -> float | None:
        """A weight for the next task of this type: thousands of tokens by the exponential moving
        average (factor 0.3), at least 1.0; None when nothing is known."""
        tokens = await self._tallies.one("x", task_type)
        return None if tokens is None else max(1.0, tokens / _TOKENS_PER_WEIGHT)

    async def actual_tokens_by_agent(self) -> dict[str, int]:
        return dict((await self._tallies.read("k"))["k"])

    async def total_actual_tokens(self) -> int:
        return sum((await self.actual_tokens_by_agent()).values())

    # Waits and fairness

    async def wait_time_by_agent(self) -> dict[str, WaitTimes]:
        """Agent id -> the waits of its finished leases."""
        return {agent: wait_times(cells) for agent, cells in (await self._waits()).items()}

    async def wait_times(self) -> WaitTimes:
        """The waits of all finished leases."""
        return wait_times(chain.from_iterable((await self._waits()).values()))

    async def jains_fairness(self) -> float:
        """Jain's index of the leases finished per agent: 1.0 when each had as many (or none has
        finished), 1/n when one of n had all. Without those counted as `__other__`."""
        waits = await self._waits()
        waits.pop(OTHER, None)
        return jain(sum(leases for _, leases in cells) for cells in waits.values())

    async def alpha_adjustments(self) -> list[AlphaAdjustment]:
        """The last 20 changes that `auto_tune` made to alpha, the oldest first."""
        session = await self._use()
        stored = await hashes.get(session, session.scripts.keys.vars, b"tunings") or b""
        rows = [row.split(":", 2) for row in stored.decode().split(";") if row]
        return [AlphaAdjustment(int(tick), float(alpha), reason) for tick, alpha, reason in rows]

    async def _waits(self) -> dict[str, Cells]:
        return waits_by_agent((await self._tallies.read("wait"))["wait"])
