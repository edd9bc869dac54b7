"""What becomes of rules when the server loses its data, and how they are switched off."""

from __future__ import annotations

import asyncio

import pytest

from loco_redis import (
    AcquireHandle,
    Agent,
    AsyncLOCOScheduler,
    BudgetExceededError,
    BudgetPolicy,
    LOCOScheduler,
    PolicyEnforcer,
    RatePolicy,
    SharedResource,
    SLOBudget,
    Task,
    TrustScorer,
)
from tests.schedulers import NAME, Schedulers
from tests.waiting import eventually


async def test_rules_survive_an_emptied_server(schedulers: Schedulers) -> None:
    """Whoever opens first after FLUSHALL, the rules of all come back before anybody is let in."""
    schedulers.at_rest = False
    with_rules = schedulers(3, budget=BudgetPolicy(limits={"a": 5.0}))
    async with with_rules, schedulers(3) as without:
        schedulers.server.client.flushall()
        assert (await without.snapshot()).capacity == 3
        results = await asyncio.gather(
            *(with_rules.acquire_start("a", Task(cost=4.0), timeout=5.0) for _ in range(4)),
            return_exceptions=True,
        )
        assert sum(isinstance(result, BudgetExceededError) for result in results) == 3


async def test_changes_of_others_outlast_a_new_session(schedulers: Schedulers) -> None:
    """A session that expires alone brings nothing back that others have changed."""
    schedulers.at_rest = False
    async with (
        schedulers(3, budget=BudgetPolicy(limits={"a": 5.0})) as one,
        schedulers(3, budget=BudgetPolicy(limits={"b": 1.0})) as other,
    ):
        assert one.budget is not None
        assert other.budget is not None
        await one.budget.set_limit("c", 2.0)
        await other.budget.set_limit("a", 9.0)
        await other.budget.remove_limit("c")
        session = one._session
        assert session is not None
        session.expire(session.ledger)
        await eventually(lambda: session.is_open)
        assert await one.budget.get_limit("a") == 9.0
        assert await one.budget.get_limit("c") is None


async def test_switched_off_for_all(schedulers: Schedulers) -> None:
    """Trust and SLO can be taken out of Redis again; then nothing of governance is on."""
    trust, slo = TrustScorer(), SLOBudget()
    async with schedulers(1, trust_scorer=trust, slo=slo) as scheduler:
        assert schedulers.dump().vars[b"features"] == b"so"
        await trust.switch_off()
        await slo.switch_off()
        async with scheduler.acquire("a"):
            assert schedulers.dump().vars[b"features"] == b""
        schedulers.server.client.flushall()
        async with scheduler.acquire("a", timeout=5.0):
            assert schedulers.dump().vars[b"features"] == b""


async def test_cap_is_back_before_anybody_is_let_in(schedulers: Schedulers) -> None:
    """An agent's cap holds for the first requests on an emptied server; others' changes outlast."""
    schedulers.at_rest = False
    async with schedulers(3, agents=[Agent("a", max_concurrency=1)]) as scheduler:
        session = scheduler._session
        assert session is not None
        await scheduler.set_max_concurrency("a", 2)
        session.expire(session.ledger)
        await eventually(lambda: session.is_open)
        assert (await scheduler.snapshot()).capacity == 3
        assert schedulers.dump().rules[b"ca"] == b"2"
        schedulers.server.client.flushall()
        handles = await asyncio.gather(
            *(scheduler.acquire_start("a", timeout=1.0) for _ in range(3)), return_exceptions=True
        )
        assert sum(isinstance(handle, AcquireHandle) for handle in handles) == 1


async def test_budget_of_an_enforcer_is_managed(schedulers: Schedulers) -> None:
    """What the manager changes is what the enforcer brings back to an emptied server."""
    schedulers.at_rest = False
    enforcer = PolicyEnforcer([BudgetPolicy(limits={"a": 5.0})])
    async with schedulers(3, enforcer=enforcer) as scheduler:
        assert scheduler.budget is not None
        await scheduler.budget.set_limit("a", 9.0)
        schedulers.server.client.flushall()
        assert (await scheduler.snapshot()).capacity == 3
        assert await scheduler.budget.get_limit("a") == 9.0


def test_budget_is_given_once() -> None:
    """A budget= and a BudgetPolicy in the enforcer would contradict each other."""
    with pytest.raises(ValueError, match="twice"):
        AsyncLOCOScheduler(
            [],
            SharedResource(NAME, 1),
            redis="redis://localhost",
            budget=BudgetPolicy(),
            enforcer=PolicyEnforcer([BudgetPolicy()]),
        )


def test_blocking_code_has_the_same(redis_url: str) -> None:
    """Budgets, policies, figures and holds work in plain code, parts of parts, too."""
    enforcer = PolicyEnforcer([BudgetPolicy(limits={"a": 5.0}), RatePolicy({"a": 10.0})])
    with LOCOScheduler(
        [], SharedResource(NAME, 2), redis=redis_url, enforcer=enforcer, slo=SLOBudget()
    ) as scheduler:
        with scheduler.acquire("a", Task(cost=3.0, team="x")) as lease:
            lease.settle(2.0, tokens=10)
            lease.throttled(0.0)
            assert not lease.downgraded
        assert scheduler.budget.remaining("a") == 3.0
        assert scheduler.enforcer.get_policy("rate").remaining("a") < 10.0
        assert scheduler.metrics.attribution.cost_by_team() == {"x": 2.0}
        assert scheduler.slo.violation_rate() == 0.0
        with pytest.raises(BudgetExceededError), scheduler.acquire("a", Task(cost=9.0)):
            pass


async def test_tokens_count_without_an_estimate(schedulers: Schedulers) -> None:
    """Tokens that nobody expected are counted when they are settled."""
    resource = SharedResource(NAME, 5, tpm=60_000, tpm_burst=100)
    async with AsyncLOCOScheduler([], resource, redis=schedulers.server.url) as scheduler:
        async with scheduler.acquire("a") as lease:
            await lease.settle(1.0, tokens=500)
        async with scheduler.acquire("a", Task(tokens=50)) as lease:
            assert lease.waited > 0.3


async def test_durable_task_reserves_until_it_is_served(schedulers: Schedulers) -> None:
    """A queued task holds its cost, a cancelled one gives it back, a served one has spent it."""
    async with schedulers(1, budget=BudgetPolicy(limits={"a": 10.0})) as scheduler:
        budget = scheduler.budget
        assert budget is not None
        task = await scheduler.submit_task("a", Task(cost=6.0))
        with pytest.raises(BudgetExceededError):
            await scheduler.submit_task("a", Task(cost=6.0))
        await scheduler.cancel_task(task)
        assert await budget.remaining("a") == 10.0
        await scheduler.submit_task("a", Task(cost=6.0))
        handle = await scheduler.acquire_start("a")
        assert await budget.reserved("a") == 6.0
        await scheduler.release_handle(handle, ValueError("it went wrong"))
        assert await budget.remaining("a") == 10.0
