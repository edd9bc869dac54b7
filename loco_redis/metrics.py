"""Figures of a scheduler, read from Redis when asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loco_redis._session import Session


class SchedulerMetrics:
    """Costs over the whole fleet, in units of weight: what was settled, else the task's weight."""

    def __init__(self, use: Callable[[], Awaitable[Session]]) -> None:
        self._use = use

    async def cost_by_agent(self) -> dict[str, float]:
        """Agent id -> cost of its finished leases. Beyond 10,000 agents the rest is
        `__other__`."""
        session = await self._use()
        key = session.scripts.keys.costs
        raw = (await session.outbox.send_raw(session.backend_timeout, "HGETALL", key)).reply
        # RESP3 gives a map.
        pairs = raw.items() if isinstance(raw, dict) else zip(raw[::2], raw[1::2], strict=True)
        return {agent.decode(): int(cost) / 1000 for agent, cost in pairs}

    async def agent_cost(self, agent_id: str) -> float:
        """0.0 for an agent that never finished anything."""
        session = await self._use()
        key = session.scripts.keys.costs
        answer = await session.outbox.send_raw(
            session.backend_timeout, "HGET", key, agent_id.encode()
        )
        return int(answer.reply or 0) / 1000

    async def total_cost(self) -> float:
        return sum((await self.cost_by_agent()).values())
