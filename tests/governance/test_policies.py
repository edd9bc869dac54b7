"""Policies: access by labels, rates, and rules of one's own."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from loco_redis import AsyncLOCOScheduler, Task
from loco_redis.errors import BudgetExceededError, PolicyViolationError
from loco_redis.governance import (
    AccessPolicy,
    BudgetPolicy,
    Policy,
    PolicyEnforcer,
    RatePolicy,
    SecurityLabel,
)
from tests.governance.traces import no_trace
from tests.schedulers import Schedulers
from tests.waiting import eventually

SECRET = Task(labels={"input": SecurityLabel.CONFIDENTIAL, "output": SecurityLabel.INTERNAL})
INTERNAL = Task(labels={"input": SecurityLabel.INTERNAL})
HOUR = 3600.0


class NoBatch(Policy):
    """Refuses one type of task; remembers what was completed."""

    name = "no-batch"

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.recorded: list[tuple[str, float]] = []

    def check(self, agent_id: str, task: Task) -> None:
        self.seen.append((agent_id, task.task_type))
        if task.task_type == "batch":
            raise PolicyViolationError(self.name, agent_id, "no batches by day")

    def record(self, agent_id: str, task: Task) -> None:
        self.recorded.append((agent_id, task.weight))

    def summary(self) -> dict[str, Any]:
        return {"recorded": len(self.recorded)}


class Slow(Policy):
    """Does everything asynchronously; its books are broken."""

    name = "slow"

    async def check(self, agent_id: str, task: Task) -> None:
        if agent_id == "mallory":
            raise PolicyViolationError(self.name, agent_id, "never heard of it")

    async def record(self, agent_id: str, task: Task) -> None:
        raise OSError("no books")

    async def summary(self) -> dict[str, Any]:
        return {"slow": True}


async def run(scheduler: AsyncLOCOScheduler, agent: str, task: Task | None = None) -> None:
    async with scheduler.acquire(agent, task):
        pass


async def test_access(any_schedulers: Schedulers) -> None:
    """A label that an agent's rule lacks is refused, on every way in, and leaves no trace."""
    access = AccessPolicy({"analyst": {"labels": ["public", SecurityLabel.INTERNAL]}})
    async with any_schedulers(enforcer=PolicyEnforcer([access])) as scheduler:
        await run(scheduler, "analyst", INTERNAL)
        await run(scheduler, "analyst")
        await run(scheduler, "anybody", SECRET)
        with no_trace(any_schedulers):
            for asking in (
                run(scheduler, "analyst", SECRET),
                scheduler.submit_task("analyst", SECRET),
            ):
                with pytest.raises(PolicyViolationError, match="'confidential'") as caught:
                    await asking
                assert (caught.value.policy_name, caught.value.agent_id) == ("access", "analyst")
                assert caught.value.retry_after is None
        assert await access.summary() == {"rules": {"analyst": ["public", "internal"]}}


async def test_no_labels_allowed(schedulers: Schedulers) -> None:
    """An agent whose list is empty may do unlabelled tasks only."""
    access = AccessPolicy({"a": {"labels": []}})
    async with schedulers(enforcer=PolicyEnforcer([access])) as scheduler:
        await run(scheduler, "a")
        with pytest.raises(PolicyViolationError):
            await run(scheduler, "a", INTERNAL)
        assert await access.summary() == {"rules": {"a": []}}


async def test_rate(any_schedulers: Schedulers) -> None:
    """As many tasks as a period allows start at once; the next is told when, and takes nothing."""
    rate = RatePolicy({"batch": 3}, period=HOUR)
    async with any_schedulers(enforcer=PolicyEnforcer([rate])) as scheduler:
        assert await rate.remaining("batch") == 3.0
        assert await rate.remaining("free") is None
        for used in (1, 2, 3):
            await run(scheduler, "batch")
            assert await rate.remaining("batch") == pytest.approx(3 - used, abs=0.1)
        with no_trace(any_schedulers), pytest.raises(PolicyViolationError, match="retry") as caught:
            await run(scheduler, "batch")
        assert caught.value.policy_name == "rate"
        assert caught.value.retry_after == pytest.approx(HOUR / 3, abs=60)
        for _ in range(5):
            await run(scheduler, "free")


async def test_slow_rate_and_default(schedulers: Schedulers) -> None:
    """Less than one task in a period is one at once, then a long wait; agents have the default."""
    rate = RatePolicy({"slow": 0.5}, period=HOUR, default_limit=2)
    async with schedulers(enforcer=PolicyEnforcer([rate])) as scheduler:
        assert await rate.remaining("slow") == 1.0
        await run(scheduler, "slow")
        with pytest.raises(PolicyViolationError) as caught:
            await run(scheduler, "slow")
        assert caught.value.retry_after == pytest.approx(2 * HOUR, abs=60)
        assert await rate.remaining("other") == 2.0
        assert await rate.summary() == {
            "default_limit": 2.0,
            "period": HOUR,
            "limits": {"slow": 0.5},
        }


async def test_rules_are_obeyed_by_other_schedulers(schedulers: Schedulers) -> None:
    """One scheduler's built-in policies hold for those that have none, until they are removed."""
    access = AccessPolicy({"a": {"labels": ["public"]}})
    enforcer = PolicyEnforcer([access, RatePolicy({"b": 1}, period=HOUR)])
    async with schedulers(enforcer=enforcer) as scheduler, schedulers(capacity=None) as other:
        with pytest.raises(PolicyViolationError):
            await run(other, "a", SECRET)
        await run(scheduler, "b")
        with pytest.raises(PolicyViolationError):
            await run(other, "b")
        assert await enforcer.remove_policy("access") is access
        assert await enforcer.remove_policy("access") is None
        assert await enforcer.remove_policy("rate") is not None
        await run(other, "a", SECRET)
        await run(other, "b")
        assert schedulers.dump().rules == {}


async def test_removed_with_the_limits_of_others(schedulers: Schedulers) -> None:
    """Removing the budget takes away limits that the manager of another scheduler has set, too."""
    enforcer = PolicyEnforcer([BudgetPolicy(default_limit=1)])
    async with schedulers(enforcer=enforcer), schedulers(budget=BudgetPolicy()) as other:
        assert other.budget is not None
        await other.budget.set_limit("a", 0.5)
        await enforcer.remove_policy("budget")
        assert schedulers.dump().rules == {}
        await run(other, "a")


async def test_added_later(schedulers: Schedulers) -> None:
    """A policy added to a running scheduler holds at once; a name is given once."""
    enforcer = PolicyEnforcer()
    async with schedulers(enforcer=enforcer) as scheduler:
        await run(scheduler, "a", SECRET)
        await enforcer.add_policy(AccessPolicy({"a": {"labels": ["public"]}}))
        await enforcer.add_policy(NoBatch())
        with pytest.raises(PolicyViolationError, match="access"):
            await run(scheduler, "a", SECRET)
        with pytest.raises(PolicyViolationError, match="by day"):
            await run(scheduler, "b", Task(task_type="batch"))
        with pytest.raises(ValueError, match="'access' already"):
            await enforcer.add_policy(AccessPolicy({}))
        assert enforcer.get_policy("no-batch") is not None
        assert enforcer.get_policy("nothing") is None
        await enforcer.remove_policy("no-batch")
        await run(scheduler, "b", Task(task_type="batch"))


async def test_added_before_the_scheduler_opens(schedulers: Schedulers) -> None:
    """What is added and removed before it has a scheduler counts when that opens."""
    enforcer = PolicyEnforcer([RatePolicy({"a": 1})])
    await enforcer.add_policy(AccessPolicy({"a": {"labels": ["public"]}}))
    assert await enforcer.remove_policy("rate") is not None
    async with schedulers(enforcer=enforcer):
        assert schedulers.dump().rules == {b"aa": b"public"}


async def test_own_policies(schedulers: Schedulers) -> None:
    """They are asked before anything is sent, for leases and durable tasks, and told of completed
    tasks only; what they raise on that is logged."""
    no_batch = NoBatch()
    enforcer = PolicyEnforcer([no_batch, Slow()])
    async with schedulers(enforcer=enforcer) as scheduler:
        with no_trace(schedulers):
            batch = Task(task_type="batch")
            for asking in (run(scheduler, "a", batch), scheduler.submit_task("a", batch)):
                with pytest.raises(PolicyViolationError, match="'no-batch' refuses agent 'a'"):
                    await asking
            with pytest.raises(PolicyViolationError, match="never heard"):
                await run(scheduler, "mallory")
        await run(scheduler, "a", Task(weight=2.0))
        with pytest.raises(KeyError):
            async with scheduler.acquire("a", weight=3.0):
                raise KeyError
        assert no_batch.recorded == [("a", 2.0)]
        assert await enforcer.summary() == {"no-batch": {"recorded": 1}, "slow": {"slow": True}}


async def test_check_all(schedulers: Schedulers) -> None:
    """It names those that passed, one's own first; raises the first refusal; consumes nothing."""
    enforcer = PolicyEnforcer(
        [
            BudgetPolicy(default_limit=5),
            AccessPolicy({"a": {"labels": ["public"]}}),
            RatePolicy(default_limit=1, period=HOUR),
            Slow(),
        ]
    )
    async with schedulers(enforcer=enforcer) as scheduler:
        with no_trace(schedulers):
            for _ in range(3):
                passed = await enforcer.check_all("a", Task(weight=5.0))
                assert passed == ["slow", "budget", "access", "rate"]
            with pytest.raises(BudgetExceededError):
                await enforcer.check_all("a", Task(cost=5.001))
            with pytest.raises(PolicyViolationError, match="'access'"):
                await enforcer.check_all("a", SECRET)
            with pytest.raises(PolicyViolationError, match="'slow'"):
                await enforcer.check_all("mallory", SECRET)
        await run(scheduler, "a")
        with pytest.raises(PolicyViolationError, match="'rate'"):
            await enforcer.check_all("a")
        policy = enforcer.get_policy("rate")
        assert isinstance(policy, RatePolicy)
        with pytest.raises(PolicyViolationError, match="'rate'"):
            await policy.check("a", Task())


async def test_rules_come_back_with_an_emptied_server(schedulers: Schedulers) -> None:
    """FLUSHALL takes the rules, too; the scheduler sets them again with its session."""
    enforcer = PolicyEnforcer([RatePolicy({"a": 1}, period=HOUR)])
    async with schedulers(enforcer=enforcer, budget=BudgetPolicy()) as scheduler:
        assert scheduler.budget is not None
        await scheduler.budget.set_limit("b", 3)
        before = schedulers.dump().rules
        schedulers.server.client.flushall()
        await scheduler.snapshot()
        await scheduler.budget.summary()
        await eventually(lambda: schedulers.dump().rules == before)


def test_labels_are_texts() -> None:
    """A SecurityLabel is its value, in str(), comparisons and JSON."""
    assert str(SecurityLabel.PUBLIC) == SecurityLabel.PUBLIC == "public"
    assert f"{SecurityLabel.INTERNAL}" == "internal"
    assert json.dumps(SecurityLabel.CONFIDENTIAL) == '"confidential"'


@pytest.mark.parametrize(
    ("make", "options", "named"),
    [
        (AccessPolicy, {"rules": ["a"]}, "mapping"),
        (AccessPolicy, {"rules": {"a": ["public"]}}, "'a'.*labels"),
        (AccessPolicy, {"rules": {"a": {}}}, "'a'.*labels"),
        (AccessPolicy, {"rules": {"a": {"labels": "public"}}}, "'a'.*labels"),
        (AccessPolicy, {"rules": {"a": {"labels": [], "tools": []}}}, "tools"),
        (AccessPolicy, {"rules": {"a": {"labels": [""]}}}, "''"),
        (AccessPolicy, {"rules": {"a": {"labels": [7]}}}, "7"),
        (AccessPolicy, {"rules": {"a": {"labels": ["x\x1fy"]}}}, "unit separator"),
        (AccessPolicy, {"rules": {"": {"labels": []}}}, "empty"),
        (RatePolicy, {"limits": {"a": 0}}, "'a'.*0"),
        (RatePolicy, {"limits": {"a": -1}}, "'a'.*-1"),
        (RatePolicy, {"limits": {"a": math.nan}}, "'a'.*nan"),
        (RatePolicy, {"limits": {"a": "many"}}, "'a'.*'many'"),
        (RatePolicy, {"limits": {"\0": 1}}, "NUL"),
        (RatePolicy, {"limits": {"a": 100_001}, "period": 1}, "100,000 tasks a second"),
        (RatePolicy, {"period": 0}, "period.*0"),
        (RatePolicy, {"period": math.inf}, "period.*inf"),
        (RatePolicy, {"period": None}, "period.*None"),
        (RatePolicy, {"default_limit": math.nan}, "default_limit.*nan"),
        (PolicyEnforcer, {"policies": ["budget"]}, "'budget'"),
        (PolicyEnforcer, {"policies": [RatePolicy(), RatePolicy()]}, "'rate' already"),
    ],
)
def test_bad_definitions(make: Any, options: dict[str, Any], named: str) -> None:
    """A ValueError of one line names the value."""
    with pytest.raises(ValueError, match=named) as caught:
        make(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", None, "budget", "access", "rate"])
def test_bad_names(name: Any) -> None:
    """A policy of one's own needs a name, which is not that of a built-in one."""
    policy = NoBatch()
    policy.name = name
    with pytest.raises(ValueError, match="name"):
        PolicyEnforcer([policy])


async def test_without_a_scheduler() -> None:
    """Own policies need none; what asks Redis says how to pass it to one."""
    assert await PolicyEnforcer([NoBatch()]).check_all("a") == ["no-batch"]
    with pytest.raises(RuntimeError, match="enforcer=PolicyEnforcer"):
        await PolicyEnforcer([RatePolicy()]).check_all("a")
    with pytest.raises(RuntimeError, match=r"PolicyEnforcer\(\[RatePolicy"):
        await RatePolicy().remaining("a")


def test_representations() -> None:
    """They show the definition."""
    shown = "RatePolicy({'a': 2}, period=60.0, default_limit=None)"
    assert repr(PolicyEnforcer([RatePolicy({"a": 2})])) == f"PolicyEnforcer([{shown}])"
    assert repr(AccessPolicy({"a": {"labels": ["x"]}})) == "AccessPolicy({'a': ('x',)})"
