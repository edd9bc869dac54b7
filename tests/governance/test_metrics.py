"""Figures of the fleet: costs by label, tokens, outcomes, waits and fairness."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from loco_redis import AsyncLOCOScheduler, Task
from loco_redis.metrics import WaitTimes
from loco_redis.metrics.tallies import entry
from loco_redis.metrics.waits import jain, wait_times
from tests.schedulers import Schedulers
from tests.waiting import eventually


async def _work(scheduler: AsyncLOCOScheduler, agent: str, cost: float, **labels: Any) -> None:
    async with scheduler.acquire(agent, Task(weight=2.0, **labels)) as lease:
        await lease.settle(cost)


# Costs


async def test_costs_by_session(any_schedulers: Schedulers) -> None:
    """Of each session and of its agents; a task without one counts in the total only."""
    async with any_schedulers() as scheduler, any_schedulers() as other:
        await _work(scheduler, "analyst", 12.0, session_id="abc")
        await _work(other, "reviewer", 5.0, session_id="abc")
        await _work(scheduler, "analyst", 1.5, session_id="def")
        await _work(scheduler, "analyst", 2.0)
        metrics = other.metrics
        assert await metrics.cost_by_session() == {"abc": 17.0, "def": 1.5}
        assert await metrics.session_cost("abc") == 17.0
        assert await metrics.session_cost("none") == 0.0
        by_agent = await metrics.cost_by_session_and_agent("abc")
        assert by_agent == {"analyst": 12.0, "reviewer": 5.0}
        assert await metrics.cost_by_session_and_agent("none") == {}
        assert await metrics.sessions() == ["abc", "def"]
        assert await metrics.total_cost() == 20.5
        assert await metrics.cost_by_agent() == {"analyst": 15.5, "reviewer": 5.0}
        assert await metrics.agent_cost("analyst") == 15.5


async def test_session_of_glob_characters_is_only_itself(schedulers: Schedulers) -> None:
    """Names are no patterns when they are looked up."""
    async with schedulers() as scheduler:
        for session in ("*", "a*c", "a?c", "[abc]", "a\\c", "abc", "a]c"):
            await _work(scheduler, "agent", 3.0, session_id=session)
        for session in ("*", "a*c", "a?c", "[abc]", "a\\c", "a]c"):
            assert await scheduler.metrics.cost_by_session_and_agent(session) == {"agent": 3.0}
            assert await scheduler.metrics.session_cost(session) == 3.0


async def test_charge_without_settlement_is_the_weight(schedulers: Schedulers) -> None:
    """Labels are charged what the agent is charged: nothing for a body that raised."""
    async with schedulers() as scheduler:
        async with scheduler.acquire("a", Task(weight=2.5, team="blue")):
            pass
        with pytest.raises(KeyError):
            async with scheduler.acquire("a", Task(weight=9.0, team="blue")):
                raise KeyError
        assert await scheduler.metrics.attribution.cost_by_team() == {"blue": 2.5}


async def test_attribution(schedulers: Schedulers) -> None:
    """By team, workflow and model, and all of it for one team."""
    async with schedulers() as scheduler:
        await _work(scheduler, "a", 4.0, team="blue", workflow="nightly", model="opus")
        await _work(scheduler, "b", 1.0, team="blue", workflow="nightly", model="haiku")
        await _work(scheduler, "b", 2.0, team="red", model="opus")
        await _work(scheduler, "c", 0.5, workflow="adhoc")
        await _work(scheduler, "c", 8.0)
        costs = scheduler.metrics.attribution
        by_team, by_model = {"blue": 5.0, "red": 2.0}, {"opus": 6.0, "haiku": 1.0}
        by_workflow = {"nightly": 5.0, "adhoc": 0.5}
        assert await costs.cost_by_team() == by_team
        assert await costs.cost_by_workflow() == by_workflow
        assert await costs.cost_by_model() == by_model
        assert await costs.team_breakdown("blue") == {
            "by_agent": {"a": 4.0, "b": 1.0},
            "by_model": {"opus": 4.0, "haiku": 1.0},
            "by_workflow": {"nightly": 5.0},
        }
        nothing: dict[str, float] = {}
        unknown = {"by_agent": nothing, "by_model": nothing, "by_workflow": nothing}
        assert await costs.team_breakdown("green") == unknown
        assert await costs.summary() == {
            "by_team": by_team,
            "by_workflow": by_workflow,
            "by_model": by_model,
            "total_cost": 15.5,
        }


async def test_top_costs(schedulers: Schedulers) -> None:
    """The highest first, equal ones by name; unknown dimensions and odd counts are ValueErrors."""
    async with schedulers() as scheduler:
        for name, cost in (("x", 1.0), ("z", 3.0), ("y", 3.0)):
            labels = dict.fromkeys(("team", "workflow", "model", "session_id"), name)
            await _work(scheduler, name, cost, **labels)
        costs = scheduler.metrics.attribution
        for dimension in ("team", "workflow", "model", "session", "agent"):
            assert await costs.top_costs(dimension, n=2) == [("y", 3.0), ("z", 3.0)]
            assert len(await costs.top_costs(dimension)) == 3
            assert await costs.top_costs(dimension, n=0) == []
        for bad in ("", "teams", None, 3, ["team"]):
            with pytest.raises(ValueError, match="dimension must be one of 'team'"):
                await costs.top_costs(bad)  # type: ignore[arg-type]
        for odd in (-1, 1.5, True, None, math.nan):
            with pytest.raises(ValueError, match="n must be an int from 0"):
                await costs.top_costs("team", n=odd)  # type: ignore[arg-type]


async def test_figures_of_a_new_scheduler_are_empty(schedulers: Schedulers) -> None:
    """Nothing is known, and nothing is divided by it."""
    async with schedulers() as scheduler:
        metrics = scheduler.metrics
        assert await metrics.sessions() == []
        assert await metrics.actual_tokens_by_agent() == {}
        assert await metrics.total_actual_tokens() == 0
        assert await metrics.wait_time_by_agent() == {}
        assert await metrics.wait_times() == WaitTimes(0, {}, {})
        assert await metrics.jains_fairness() == 1.0
        assert await metrics.alpha_adjustments() == []
        assert (await metrics.attribution.summary())["total_cost"] == 0
        outcomes = await metrics.outcomes.summary()
        assert outcomes
        assert not any(outcomes.values())


async def test_beyond_10000_names_the_rest_is_other(schedulers: Schedulers) -> None:
    """Nothing is lost; a name that is known goes on being counted."""
    async with schedulers() as scheduler:
        names = [f"agent {n}" for n in range(10_003)]
        entries = [entry("k", name.encode(), 2) for name in (*names, names[0])]
        await scheduler.metrics._tallies.add(*entries)
        tokens = await scheduler.metrics.actual_tokens_by_agent()
        known = dict.fromkeys(names[:10_000], 2)
        assert tokens == {**known, names[0]: 4, "__other__": 6}
        assert await scheduler.metrics.total_actual_tokens() == 20_008


# Tokens


async def test_actual_tokens(schedulers: Schedulers) -> None:
    """Summed by agent; averaged by type with a factor of 0.3."""
    async with schedulers() as scheduler, schedulers() as other:
        metrics = scheduler.metrics
        assert await metrics.empirical_weight("chat") is None
        await metrics.record_actual_tokens("a", Task(task_type="chat"), 2000)
        assert await other.metrics.empirical_weight("chat") == 2.0
        await other.metrics.record_actual_tokens("b", "chat", 4000)
        assert await metrics.empirical_weight("chat") == pytest.approx(2.6)
        await metrics.record_actual_tokens("a", "tiny", 7)
        assert await metrics.empirical_weight("tiny") == 1.0
        await metrics.record_actual_tokens("a", "none", 0)
        assert await metrics.empirical_weight("none") == 1.0
        assert await metrics.actual_tokens_by_agent() == {"a": 2007, "b": 4000}
        assert await metrics.total_actual_tokens() == 6007


async def test_odd_tokens_are_refused(schedulers: Schedulers) -> None:
    """Each by a line that names the value; nothing is counted."""
    async with schedulers() as scheduler:
        metrics = scheduler.metrics
        for tokens in (-1, 1.5, True, math.nan, "9", None, 10**13):
            with pytest.raises(ValueError, match="tokens must be an int from 0"):
                await metrics.record_actual_tokens("a", "chat", tokens)  # type: ignore[arg-type]
        for kind in (None, 3, "x\0y", "x" * 513, "\ud800"):
            with pytest.raises(ValueError, match="task_type must be a str"):
                await metrics.record_actual_tokens("a", kind, 1)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="agent id"):
            await metrics.record_actual_tokens("", "chat", 1)
        assert await metrics.total_actual_tokens() == 0
        assert await metrics.empirical_weight("\ud800") is None
        with pytest.raises(ValueError, match="must be a str, got 3"):
            await metrics.empirical_weight(3)  # type: ignore[arg-type]


# Outcomes


async def test_outcomes(schedulers: Schedulers) -> None:
    """Rates, cost by outcome, quality by model, and quality for a unit of cost."""
    async with schedulers() as scheduler, schedulers() as other:
        outcomes = scheduler.metrics.outcomes
        opus, haiku = Task(weight=4.0, model="opus"), Task(weight=1.0, model="haiku")
        await outcomes.record("a", opus, "success", quality_score=0.9)
        await outcomes.record("a", opus, "success", quality_score=1.0, cost=2.0)
        await outcomes.record("b", haiku, "success")
        await other.metrics.outcomes.record("b", haiku, "failure", cost=0.5)
        rates, costs = {"success": 0.75, "failure": 0.25}, {"success": 7 / 3, "failure": 0.5}
        assert await outcomes.outcome_rates() == rates
        assert await outcomes.cost_per_outcome("success") == pytest.approx(7 / 3)
        assert await outcomes.cost_per_outcome("unheard") == 0.0
        assert await outcomes.quality_by_model() == {"opus": pytest.approx(0.95)}
        by_agent = {"a": pytest.approx(1.9 / 6), "b": pytest.approx(1 / 1.5)}
        by_model = {"opus": pytest.approx(1.9 / 6), "haiku": pytest.approx(1 / 1.5)}
        assert await outcomes.roi_by_agent() == by_agent
        assert await outcomes.roi_by_model() == by_model
        assert await other.metrics.outcomes.summary() == {
            "outcomes": {"success": 3, "failure": 1},
            "outcome_rates": rates,
            "cost_per_outcome": pytest.approx(costs),
            "quality_by_model": {"opus": pytest.approx(0.95)},
            "roi_by_agent": by_agent,
            "roi_by_model": by_model,
        }


async def test_cost_of_an_outcome_defaults_to_what_the_task_expected(
    schedulers: Schedulers,
) -> None:
    """The task's cost before its weight; what cost nothing has no ROI; a quality of 0 counts."""
    async with schedulers() as scheduler:
        outcomes = scheduler.metrics.outcomes
        await outcomes.record("a", Task(weight=3.0, cost=7.0), "success")
        assert await outcomes.cost_per_outcome("success") == 7.0
        await outcomes.record("free", Task(model="opus"), "failure", quality_score=0.0, cost=0.0)
        assert "free" not in await outcomes.roi_by_agent()
        assert await outcomes.quality_by_model() == {"opus": 0.0}


async def test_odd_outcomes_are_refused(schedulers: Schedulers) -> None:
    """Each by a line that names the value; nothing is counted."""
    async with schedulers() as scheduler:
        outcomes, task = scheduler.metrics.outcomes, Task(model="opus")
        for quality in (-0.1, 1.1, math.nan, math.inf, "1", True):
            with pytest.raises(ValueError, match="quality_score must be a number from 0 to 1"):
                await outcomes.record("a", task, "success", quality)  # type: ignore[arg-type]
        for cost in (-1.0, math.nan, math.inf, "1"):
            with pytest.raises(ValueError, match="cost must be a number"):
                await outcomes.record("a", task, "success", cost=cost)  # type: ignore[arg-type]
        for outcome in ("", None, "x\0", "x" * 513):
            with pytest.raises(ValueError, match="outcome must"):
                await outcomes.record("a", task, outcome)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="task must be a Task, got 'opus'"):
            await outcomes.record("a", "opus", "success")  # type: ignore[arg-type]
        assert (await outcomes.summary())["outcomes"] == {}


# Waits and fairness


async def test_wait_times(schedulers: Schedulers) -> None:
    """Each finished lease is in one bucket of ticks and one of seconds, by agent and in all."""
    async with schedulers() as scheduler:
        first = await scheduler.acquire_start("a")
        second = asyncio.create_task(scheduler.acquire_start("b"))
        await eventually(lambda: schedulers.waiting() == 1)
        await scheduler.release_handle(first)
        handle = await second
        waited = handle.lease.waited
        assert handle.lease.waited_ticks == 1
        await scheduler.release_handle(handle)
        waits = await scheduler.metrics.wait_time_by_agent()
        assert (waits["a"].count, waits["a"].ticks, waits["a"].mean_ticks) == (1, {(0, 0): 1}, 0.0)
        assert (waits["b"].count, waits["b"].ticks, waits["b"].p95_ticks) == (1, {(1, 1): 1}, 1.0)
        ((low, high),) = waits["b"].seconds
        assert low <= waited < high + 1e-6
        assert waits["b"].mean_seconds == pytest.approx(waited, rel=0.5)
        everybody = await scheduler.metrics.wait_times()
        assert (everybody.count, everybody.ticks) == (2, {(0, 0): 1, (1, 1): 1})
        assert everybody.mean_ticks == 0.5


def test_estimates_of_waits() -> None:
    """Means and quantiles come from the middles of the buckets, which are ascending."""
    waits = wait_times([((3, 11), 1), ((0, 0), 6), ((1, 10), 2), ((0, 11), 1)])
    assert waits.count == 10
    assert list(waits.ticks.items()) == [((0, 0), 7), ((1, 1), 2), ((4, 7), 1)]
    assert list(waits.seconds) == [(0.0, 0.0), (0.000512, 0.001023), (0.001024, 0.002047)]
    assert waits.mean_ticks == pytest.approx((2 * 1 + 5.5) / 10)
    assert (waits.p50_ticks, waits.p95_ticks) == (0.0, 5.5)
    assert (waits.p50_seconds, waits.p95_seconds) == (0.0, pytest.approx(0.0015355))
    assert [waits.quantile_ticks(q) for q in (0, 0.7, 0.71, 0.9, 1)] == [0.0, 0.0, 1.0, 1.0, 5.5]
    for odd in (-0.1, 1.1, math.nan, "1"):
        with pytest.raises(ValueError, match="q must be a number from 0 to 1"):
            waits.quantile_seconds(odd)  # type: ignore[arg-type]


def test_jains_index() -> None:
    """1 for equal shares, 1/n when one has all."""
    assert jain([]) == jain([0]) == jain([3, 3, 3]) == 1.0
    assert jain([4, 0, 0, 0]) == 0.25
    assert jain([1, 3]) == pytest.approx(16 / 20)


async def test_fairness_counts_finished_leases(schedulers: Schedulers) -> None:
    """Three of one agent against one of another."""
    async with schedulers() as scheduler:
        for agent in ("a", "b", "a", "a"):
            async with scheduler.acquire(agent):
                pass
        assert await scheduler.metrics.jains_fairness() == pytest.approx(16 / 20)


async def test_adjustments_of_alpha_tell_when_and_why(schedulers: Schedulers) -> None:
    """A growing queue makes depth count more."""
    async with schedulers(alpha=0.2, auto_tune=True) as scheduler:
        for _ in range(2):
            await scheduler.submit_task("a", Task(weight=5.0))
            await scheduler.submit_task("a", Task(weight=5.0))
            async with scheduler.acquire("a"):
                pass
        adjustments = await scheduler.metrics.alpha_adjustments()
        snapshot = await scheduler.snapshot()
        assert [row.tick for row in adjustments] == [1, 2]
        assert {row.reason for row in adjustments} == {"queues grow"}
        assert [row.alpha for row in adjustments] == pytest.approx([0.21, 0.22])
        assert snapshot.alpha == pytest.approx(0.22)
        schedulers.at_rest = False  # two tasks are left
