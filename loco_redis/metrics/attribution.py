"""What was spent for whom: costs by the labels of the tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from loco_redis import _validate as validate
from loco_redis.metrics.tallies import Tallies, in_units

_DIMENSIONS = {"team": "t", "workflow": "w", "model": "m", "session": "s"}


class CostAttribution:
    """Costs over the whole fleet by `team`, `workflow`, `model` and `session_id` of the tasks, in
    units of cost. A task without such a label counts only where it has one.

    Beyond 10,000 names of a dimension (10,000 pairs in a breakdown) the rest is `__other__`.
    Figures of one answer are read one after another: leases that end meanwhile may be in some.
    """

    def __init__(
        self, tallies: Tallies, cost_by_agent: Callable[[], Awaitable[dict[str, float]]]
    ) -> None:
        self._tallies, self._cost_by_agent = tallies, cost_by_agent

    async def cost_by_team(self) -> dict[str, float]:
        return await self._tallies.costs("t")

    async def cost_by_workflow(self) -> dict[str, float]:
        return await self._tallies.costs("w")

    async def cost_by_model(self) -> dict[str, float]:
        return await self._tallies.costs("m")

    async def team_breakdown(self, team: str) -> dict[str, dict[str, float]]:
        """{"by_agent": ..., "by_model": ..., "by_workflow": ...}, empty for an unknown team."""
        found = await self._tallies.read("t[amw]", team)
        return {
            "by_agent": in_units(found["ta"]),
            "by_model": in_units(found["tm"]),
            "by_workflow": in_units(found["tw"]),
        }

    async def top_costs(self, dimension: str, n: int = 5) -> list[tuple[str, float]]:
        """The `n` highest costs by "team", "workflow", "model", "session" or "agent", the highest
        first.

        Raises:
            ValueError: another dimension, a negative `n`.
        """
        validate.count("n", n, 0, 10**6)
        if dimension == "agent":
            costs = await self._cost_by_agent()
        elif isinstance(dimension, str) and dimension in _DIMENSIONS:
            costs = await self._tallies.costs(_DIMENSIONS[dimension])
        else:
            known = ", ".join(map(repr, (*_DIMENSIONS, "agent")))
            raise ValueError(f"dimension must be one of {known}, got {validate.shown(dimension)}")
        return sorted(costs.items(), key=lambda item: (-item[1], item[0]))[:n]

    async def summary(self) -> dict[str, Any]:
        """{"by_team": ..., "by_workflow": ..., "by_model": ..., "total_cost": of all leases}."""
        found = await self._tallies.read("[tmw]")
        return {
            "by_team": in_units(found["t"]),
            "by_workflow": in_units(found["w"]),
            "by_model": in_units(found["m"]),
            "total_cost": sum((await self._cost_by_agent()).values()),
        }
