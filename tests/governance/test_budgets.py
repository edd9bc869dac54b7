"""Budgets of agents: reserved, settled, refunded, refused, and the same for the whole fleet."""

from __future__ import annotations

import asyncio
import logging
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from loco_redis import AsyncLOCOScheduler, Task
from loco_redis.errors import BudgetExceededError
from loco_redis.governance import BudgetManager, BudgetPolicy
from tests.governance.traces import no_trace
from tests.schedulers import Schedulers
from tests.waiting import eventually


def budget_of(scheduler: AsyncLOCOScheduler) -> BudgetManager:
    assert scheduler.budget is not None
    return scheduler.budget


async def figures(scheduler: AsyncLOCOScheduler, agent: str) -> tuple[float | None, ...]:
    """(spent, unsettled, reserved, remaining)"""
    budget = budget_of(scheduler)
    return (
        await budget.spent(agent),
        await budget.unsettled(agent),
        await budget.reserved(agent),
        await budget.remaining(agent),
    )


async def test_reserved_then_settled(any_schedulers: Schedulers) -> None:
    """A lease reserves its task's cost, or weight, and spends what it is settled at, or that."""
    async with any_schedulers(budget=BudgetPolicy(default_limit=10)) as scheduler:
        async with scheduler.acquire("a", Task(weight=2.0, cost=4.5)) as lease:
            assert not lease.downgraded
            assert await figures(scheduler, "a") == (0.0, 0.0, 4.5, 5.5)
            await lease.settle(1.25)
            assert await figures(scheduler, "a") == (1.25, 0.0, 0.0, 8.75)
        assert await figures(scheduler, "a") == (1.25, 0.0, 0.0, 8.75)
        async with scheduler.acquire("a", weight=2.0):
            assert await figures(scheduler, "a") == (1.25, 0.0, 2.0, 6.75)
        assert await figures(scheduler, "a") == (3.25, 0.0, 0.0, 6.75)


async def test_refunded(schedulers: Schedulers) -> None:
    """Nothing is spent by a body that raises, a wait that times out, a task that is cancelled."""
    async with schedulers(budget=BudgetManager(default_limit=10)) as scheduler:
        with pytest.raises(KeyError):
            async with scheduler.acquire("a", weight=3.0):
                raise KeyError
        assert await figures(scheduler, "a") == (0.0, 0.0, 0.0, 10.0)
        async with scheduler.acquire("b"):
            with pytest.raises(TimeoutError):
                await scheduler.acquire_start("a", weight=3.0, timeout=0, nested="allow")
        task_id = await scheduler.submit_task("a", Task(weight=4.0))
        assert await figures(scheduler, "a") == (0.0, 0.0, 4.0, 6.0)
        await scheduler.cancel_task(task_id)
        assert await figures(scheduler, "a") == (0.0, 0.0, 0.0, 10.0)


async def test_refused_leaves_no_trace(schedulers: Schedulers) -> None:
    """Acquires and durable tasks beyond the limit are refused with the figures, and change none."""
    async with schedulers(budget=BudgetPolicy(limits={"a": 5})) as scheduler:
        handle = await scheduler.acquire_start("a", weight=3.0)
        with no_trace(schedulers):
            for ask in (
                scheduler.acquire_start("a", Task(cost=2.5)),
                scheduler.submit_task("a", Task(weight=2.5)),
            ):
                with pytest.raises(BudgetExceededError, match="raise the limit") as caught:
                    await ask
                error = caught.value
                assert (error.policy_name, error.agent_id) == ("budget", "a")
                assert (error.limit, error.used, error.asked) == (5.0, 3.0, 2.5)
        await scheduler.release_handle(handle)
        async with scheduler.acquire("a", weight=2.0):
            pass


async def test_concurrent_acquires_of_several_schedulers(schedulers: Schedulers) -> None:
    """50 acquires of cost 10 by 5 schedulers against a limit of 100: 10 get in, 40 are refused."""
    async with schedulers(capacity=50, budget=BudgetPolicy(default_limit=100)) as first:
        fleet = [first, *(schedulers(capacity=None) for _ in range(4))]
        asked = [one.acquire_start("a", Task(cost=10)) for one in fleet for _ in range(10)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        refused = [r for r in results if isinstance(r, BudgetExceededError)]
        assert len(refused) == 40
        held = [
            (fleet[index // 10], handle)
            for index, handle in enumerate(results)
            if not isinstance(handle, BaseException)
        ]
        assert len(held) == 10
        assert await figures(first, "a") == (0.0, 0.0, 100.0, 0.0)
        for owner, handle in held:
            await handle.lease.settle(7)
            await owner.release_handle(handle)
        assert await figures(first, "a") == (70.0, 0.0, 0.0, 30.0)


async def test_lost_holder_is_unsettled(schedulers: Schedulers) -> None:
    """What a given-up holder had reserved is unsettled, and counts, until it is reset."""
    async with schedulers(budget=BudgetPolicy(default_limit=10)) as scheduler:
        gone = schedulers(capacity=None)
        await gone.acquire_start("a", weight=6.0)
        await gone.aclose()
        assert await figures(scheduler, "a") == (0.0, 6.0, 0.0, 4.0)
        assert not await budget_of(scheduler).check("a", 4.001)
        await budget_of(scheduler).reset("a")
        assert await figures(scheduler, "a") == (0.0, 0.0, 0.0, 10.0)


async def test_limits_set_by_one_are_obeyed_by_all(schedulers: Schedulers) -> None:
    """A scheduler without any budget of its own obeys limits that another sets, at once."""
    async with schedulers(budget=BudgetManager()) as scheduler, schedulers() as other:
        budget = budget_of(scheduler)
        async with other.acquire("a", weight=50.0):
            pass
        assert await budget.get_limit("a") is None
        assert await budget.remaining("a") is None
        assert await budget.check("a", 1e9)
        await budget.set_limit("a", 7.5)
        assert (await budget.get_limit("a"), await budget.get_limit("b")) == (7.5, None)
        with pytest.raises(BudgetExceededError):
            await other.acquire_start("a", weight=8.0)
        await budget.remove_limit("a")
        assert await budget.get_limit("a") is None
        async with other.acquire("a", weight=8.0):
            pass


async def test_own_limit_instead_of_the_default(schedulers: Schedulers) -> None:
    """An agent's own limit comes first, else the default holds. Zero lets nothing in."""
    policy = BudgetPolicy(default_limit=10, limits={"a": 0})
    async with schedulers(budget=policy) as scheduler:
        budget = budget_of(scheduler)
        assert (await budget.get_limit("a"), await budget.get_limit("b")) == (0.0, 10.0)
        with pytest.raises(BudgetExceededError):
            await scheduler.acquire_start("a")
        await budget.remove_limit("a")
        assert await budget.get_limit("a") == 10.0
        assert budget.policy.limits == {}
        assert policy.limits == {"a": 0}  # what the user holds is not changed


async def test_spend_outside_of_leases(schedulers: Schedulers) -> None:
    """record_spend is never refused, remaining never negative; check says what fits."""
    async with schedulers(budget=BudgetPolicy(default_limit=0.3)) as scheduler:
        budget = budget_of(scheduler)
        await budget.record_spend("a", 0.1)
        assert await figures(scheduler, "a") == (0.1, 0.0, 0.0, 0.2)
        assert await budget.check("a", 0.2)
        assert not await budget.check("a", 0.201)
        await budget.record_spend("a", 5)
        assert await figures(scheduler, "a") == (5.1, 0.0, 0.0, 0.0)
        await budget.record_spend("b", 1)
        await budget.reset("a")
        assert (await budget.spent("a"), await budget.spent("b")) == (0.0, 1.0)
        await budget.reset_all()
        assert await budget.spent("b") == 0.0


async def test_alert(schedulers: Schedulers, caplog: pytest.LogCaptureFixture) -> None:
    """on_exceeded="alert" lets the task in, keeps an alert with the server's time, and logs."""
    policy = BudgetPolicy(default_limit=2, on_exceeded="alert")
    async with schedulers(budget=policy) as scheduler:
        budget = budget_of(scheduler)
        async with scheduler.acquire("a|b", weight=1.5):
            pass
        assert await budget.alerts() == []
        for weight in (1.0, 3.0):
            with caplog.at_level(logging.WARNING, "loco_redis"):
                async with scheduler.acquire("a|b", weight=weight) as lease:
                    assert not lease.downgraded
        assert "a|b" in caplog.text
        first, second = await budget.alerts()
        assert (first.agent_id, first.limit, first.used, first.asked) == ("a|b", 2.0, 1.5, 1.0)
        assert (second.used, second.asked) == (2.5, 3.0)
        assert abs(datetime.now(UTC) - first.at) < timedelta(minutes=1)
        assert first.at.utcoffset() == timedelta(0)
        assert first.at <= second.at
        assert await figures(scheduler, "a|b") == (5.5, 0.0, 0.0, 0.0)


async def test_downgrade(schedulers: Schedulers) -> None:
    """on_exceeded="downgrade" lets the task in and tells the lease, also one that had to wait."""
    policy = BudgetPolicy(default_limit=2, on_exceeded="downgrade")
    async with schedulers(budget=policy) as scheduler, schedulers(capacity=None) as other:
        first = await scheduler.acquire_start("a", weight=2.0)
        assert not first.lease.downgraded
        waiter = asyncio.create_task(other.acquire_start("a", weight=2.0))
        await eventually(lambda: schedulers.waiting() == 1)
        await scheduler.release_handle(first)
        handle = await waiter
        assert handle.lease.downgraded
        await other.release_handle(handle)
        assert await budget_of(scheduler).alerts() == []


@pytest.mark.parametrize("period", ["day", "month", 3600, 0.5 * 3600])
async def test_spending_begins_anew_with_each_period(schedulers: Schedulers, period: Any) -> None:
    """In the next day, month or so many seconds nothing is spent; what is reserved stays."""
    async with schedulers(capacity=2, budget=BudgetPolicy(10, period=period)) as scheduler:
        budget = budget_of(scheduler)
        async with scheduler.acquire("a", weight=9.0):
            pass
        handle = await scheduler.acquire_start("a", weight=1.0)
        with pytest.raises(BudgetExceededError):
            await scheduler.acquire_start("a")
        one_window_ago(schedulers, "a")
        assert await figures(scheduler, "a") == (0.0, 0.0, 1.0, 9.0)
        await scheduler.release_handle(handle)
        async with scheduler.acquire("a", weight=9.0):
            pass
        assert await budget.spent("a") == 10.0


async def test_month_is_that_of_the_calendar(schedulers: Schedulers) -> None:
    """The server's window is the month of the year in UTC."""
    async with schedulers(budget=BudgetPolicy(10, period="month")) as scheduler:
        await budget_of(scheduler).record_spend("a", 1)
        *_, window, period = schedulers.dump().accounts[b"aa"].split(b"|")
        now = datetime.now(UTC)
        assert (int(window), period) == (now.year * 12 + now.month - 1, b"month")


def one_window_ago(schedulers: Schedulers, agent: str) -> None:
    """Date the agent's account back by one window, as if that time had passed."""
    field = b"a" + agent.encode()
    *money, window, period = schedulers.dump().accounts[field].split(b"|")
    row = b"|".join((*money, b"%d" % (int(window) - 1), period))
    schedulers.server.client.hset("loco:{llm}:accounts", field, row)


async def test_summaries(schedulers: Schedulers) -> None:
    """All agents with an account or a limit of their own; the definition as Redis has it."""
    policy = BudgetPolicy(10, "alert", 60, limits={"quiet": 3})
    async with schedulers(budget=policy) as scheduler:
        budget = budget_of(scheduler)
        await budget.record_spend("a", 4)
        nothing = {"spent": 0.0, "unsettled": 0.0, "reserved": 0.0, "over": 0.0}
        assert await budget.summary() == {
            "a": {**nothing, "limit": 10.0, "spent": 4.0, "remaining": 6.0},
            "quiet": {**nothing, "limit": 3.0, "remaining": 3.0},
        }
        assert await budget.policy.summary() == {
            "default_limit": 10.0,
            "on_exceeded": "alert",
            "period": 60.0,
            "limits": {"quiet": 3.0},
        }


async def test_policy_without_limits_sets_mode_and_period(schedulers: Schedulers) -> None:
    """Limits set later are enforced in the mode of the policy."""
    policy = BudgetPolicy(on_exceeded="downgrade", period="day")
    async with schedulers(budget=policy) as scheduler:
        assert schedulers.dump().rules == {b"b": b"|d|day"}
        await budget_of(scheduler).set_limit("a", 1)
        async with scheduler.acquire("a", weight=2.0) as lease:
            assert lease.downgraded


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"default_limit": -1}, "-1"),
        ({"default_limit": math.nan}, "nan"),
        ({"default_limit": math.inf}, "inf"),
        ({"default_limit": "10"}, "'10'"),
        ({"default_limit": True}, "True"),
        ({"on_exceeded": "ignore"}, "'ignore'"),
        ({"on_exceeded": None}, "None"),
        ({"on_exceeded": []}, "\\[\\]"),
        ({"period": "week"}, "'week'.*'month'"),
        ({"period": 0}, "0"),
        ({"period": math.nan}, "nan"),
        ({"limits": {"": 1}}, "empty"),
        ({"limits": {3: 1}}, "3"),
        ({"limits": {"a": None}}, "'a'.*None"),
        ({"limits": {"a": -0.5}}, "'a'.*-0.5"),
        ({"limits": [("a", 1)]}, "mapping"),
    ],
)
def test_bad_definitions(options: dict[str, Any], named: str) -> None:
    """A ValueError of one line names the value."""
    with pytest.raises(ValueError, match=named) as caught:
        BudgetPolicy(**options)
    assert "\n" not in str(caught.value)


async def test_bad_arguments(schedulers: Schedulers) -> None:
    """They are refused before anything is sent; unknown agents are just uncapped."""
    with pytest.raises(ValueError, match="BudgetPolicy"):
        schedulers(budget=100)
    async with schedulers(budget=BudgetManager()) as scheduler:
        budget = budget_of(scheduler)
        for call in (
            budget.set_limit("a", -1),
            budget.set_limit("a", math.nan),
            budget.set_limit("", 1),
            budget.check("a", -1),
            budget.record_spend("a", math.nan),
            budget.spent("a\0"),
            budget.remove_limit(None),  # type: ignore[arg-type]
        ):
            with no_trace(schedulers), pytest.raises(ValueError):
                await call
        await budget.remove_limit("nobody")
        await budget.reset("nobody")
        assert await figures(scheduler, "nobody") == (0.0, 0.0, 0.0, None)


async def test_without_a_scheduler() -> None:
    """A manager or policy of no scheduler says how to pass it to one."""
    with pytest.raises(RuntimeError, match="budget=BudgetManager"):
        await BudgetManager().spent("a")
    with pytest.raises(RuntimeError, match="BudgetPolicy"):
        await BudgetPolicy().summary()


def test_representations() -> None:
    """They show the definition."""
    shown = "BudgetPolicy(default_limit=3, on_exceeded='reject', period=None, limits={})"
    assert repr(BudgetPolicy(3)) == shown
    assert repr(BudgetManager(3)) == f"<BudgetManager of {shown}>"
