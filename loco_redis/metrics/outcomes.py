"""What came of the work: rates, quality, and what it was worth for its cost."""

from __future__ import annotations

from typing import Any

from loco_redis import _validate as validate
from loco_redis.metrics.tallies import MILLION, Tallies, entry
from loco_redis.models import Task

SUCCESS = "success"

# Dimensions of `tallies`: `o`, then by what (outcome, agent, model), then what is counted:
# n(umber), c(ost) in thousandths, v(alue) and q(uality) in millionths.
_NUMBER, _COST = "oon", "ooc"
_AGENT_COST, _AGENT_VALUE = "oac", "oav"
_MODEL_COST, _MODEL_VALUE = "omc", "omv"
_MODEL_SCORED, _MODEL_QUALITY = "omn", "omq"

_Figures = dict[str, dict[str, int]]


class OutcomeTracker:
    """Outcomes that the fleet reported by `record`: rates, cost and quality.

    The return on investment (ROI) is the sum of the qualities divided by the sum of the costs; a
    quality that was not given is 1 for "success" and 0 for any other outcome. Beyond 10,000 names
    of agents, models or outcomes the rest is `__other__`.
    """

    def __init__(self, tallies: Tallies) -> None:
        self._tallies = tallies

    async def record(
        self,
        agent_id: str,
        task: Task,
        outcome: str,
        quality_score: float | None = None,
        cost: float | None = None,
    ) -> None:
        """Count one piece of work.

        Args:
            outcome: "success", or a word of your own such as "failure".
            quality_score: 0 to 1.
            cost: what it cost; by default the task's expected cost, else its weight.

        Raises:
            ValueError: any of them out of range.
        """
        if not isinstance(task, Task):
            raise ValueError(f"task must be a Task, got {validate.shown(task)}")
        named = validate.label("outcome", outcome)
        if not named:
            raise ValueError("outcome must not be empty: say what came of it, e.g. 'success'")
        if quality_score is not None:
            validate.number("quality_score", quality_score, 0, 1)
        quality = float(outcome == SUCCESS) if quality_score is None else quality_score
        if cost is None:
            cost = task.weight if task.cost is None else task.cost
        value, spent = round(quality * MILLION), validate.cost(cost)
        figures = [(_NUMBER, named, 1), (_COST, named, spent)]
        agent = validate.agent_id(agent_id)
        figures += [(_AGENT_COST, agent, spent), (_AGENT_VALUE, agent, value)]
        if task.model:
            model = validate.label("model", task.model)
            figures += [(_MODEL_COST, model, spent), (_MODEL_VALUE, model, value)]
            if quality_score is not None:
                figures += [(_MODEL_SCORED, model, 1), (_MODEL_QUALITY, model, value)]
        await self._tallies.add(*(entry(*figure) for figure in figures))

    async def outcome_rates(self) -> dict[str, float]:
        """Outcome -> its share of all, e.g. {"success": 0.85, "failure": 0.15}."""
        return _rates(await self._read("o"))

    async def cost_per_outcome(self, outcome: str) -> float:
        """Mean cost of the work that ended so; 0.0 if none did."""
        return _cost_per_outcome(await self._read("o")).get(outcome, 0.0)

    async def quality_by_model(self) -> dict[str, float]:
        """Model -> mean of the quality scores given."""
        return _quality(await self._read("m"))

    async def roi_by_agent(self) -> dict[str, float]:
        """Agent -> quality for a unit of cost; without those that cost nothing."""
        return _roi(await self._read("a"), _AGENT_VALUE, _AGENT_COST)

    async def roi_by_model(self) -> dict[str, float]:
        """Model -> quality for a unit of cost; without those that cost nothing."""
        return _roi(await self._read("m"), _MODEL_VALUE, _MODEL_COST)

    async def summary(self) -> dict[str, Any]:
        """{"outcomes": how many, "outcome_rates", "cost_per_outcome", "quality_by_model",
        "roi_by_agent", "roi_by_model"}."""
        found = await self._read("?")
        return {
            "outcomes": dict(found[_NUMBER]),
            "outcome_rates": _rates(found),
            "cost_per_outcome": _cost_per_outcome(found),
            "quality_by_model": _quality(found),
            "roi_by_agent": _roi(found, _AGENT_VALUE, _AGENT_COST),
            "roi_by_model": _roi(found, _MODEL_VALUE, _MODEL_COST),
        }

    async def _read(self, by: str) -> _Figures:
        return await self._tallies.read(f"o{by}?")


def _rates(found: _Figures) -> dict[str, float]:
    total = sum(found[_NUMBER].values())
    return {outcome: number / total for outcome, number in found[_NUMBER].items()}


def _cost_per_outcome(found: _Figures) -> dict[str, float]:
    return {
        outcome: found[_COST].get(outcome, 0) / validate.THOUSAND / number
        for outcome, number in found[_NUMBER].items()
    }


def _quality(found: _Figures) -> dict[str, float]:
    return {
        model: found[_MODEL_QUALITY].get(model, 0) / MILLION / number
        for model, number in found[_MODEL_SCORED].items()
    }


def _roi(found: _Figures, value: str, cost: str) -> dict[str, float]:
    return {
        name: found[value].get(name, 0) / MILLION / (spent / validate.THOUSAND)
        for name, spent in found[cost].items()
    }
