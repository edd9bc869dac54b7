"""Tenants: their agents never collide, and have limits in common."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from loco_redis import Agent, AgentBusyError, SharedResource, Task
from loco_redis.errors import (
    BudgetExceededError,
    ReentrantAcquireError,
    ShutdownError,
    TenantCostExceededError,
    TenantLimitError,
    UnknownTenantError,
)
from loco_redis.governance import BudgetPolicy, MultiTenantScheduler, TenantStats
from tests.governance.traces import no_trace
from tests.schedulers import NAME, Schedulers
from tests.waiting import eventually

Make = Callable[..., MultiTenantScheduler]

NOTHING = TenantStats(
    tenant_id="acme",
    agents=(),
    max_agents=None,
    cost=0.0,
    unsettled=0.0,
    reserved=0.0,
    over=0.0,
    ceiling=None,
    remaining=None,
    holding=0,
    max_concurrency=None,
)


@pytest.fixture
def tenants(schedulers: Schedulers) -> Make:
    """A maker of multi-tenant schedulers of one resource, which are closed afterwards."""
    return lambda capacity=1, **options: make(schedulers, capacity, **options)


def make(schedulers: Schedulers, capacity: int | None = 1, **options: Any) -> MultiTenantScheduler:
    options = {"redis": schedulers.server.url, "lease_ttl": 2.0, "backend_timeout": 5.0, **options}
    tenants = MultiTenantScheduler(SharedResource(NAME, capacity), **options)
    schedulers._made.append(tenants.scheduler)
    return tenants


async def test_agents_of_tenants_do_not_collide(any_schedulers: Schedulers) -> None:
    """The same name in two tenants is two agents, with accounts, leases and statistics apart."""
    async with make(any_schedulers, capacity=2) as tenants:
        for tenant in ("acme", "umbrella"):
            await tenants.register_tenant(tenant, cost_ceiling=10)
            await tenants.register_agent(tenant, Agent("worker", tenant))
        async with tenants.acquire("acme", "worker", weight=2.0) as lease:
            assert lease.agent_id == "acme/worker"
            other = await tenants.scheduler.get_agent("umbrella/worker")
            assert (other.agent_type, other.holding) == ("umbrella", 0)
            stats = await tenants.all_tenants()
            assert (stats["acme"].reserved, stats["umbrella"].reserved) == (2.0, 0.0)
            assert (stats["acme"].holding, stats["umbrella"].holding) == (1, 0)
        assert await tenants.tenant_cost("acme") == 2.0
        assert await tenants.tenant_cost("umbrella") == 0.0
        assert await tenants.scheduler.metrics.cost_by_agent() == {"acme/worker": 2.0}


async def test_ceiling(tenants: Make, schedulers: Schedulers) -> None:
    """It counts what all agents have spent, reserved and left unsettled; beyond it is refused."""
    async with tenants(capacity=3) as scheduler:
        await scheduler.register_tenant("acme", cost_ceiling=10)
        async with scheduler.acquire("acme", "a", weight=3.0):
            pass
        gone = tenants(capacity=None)
        await gone.scheduler.acquire_start("acme/b", weight=2.0)
        await gone.aclose()
        task_id = await scheduler.submit_task("acme", "c", Task(weight=4.0))
        assert await scheduler.tenant_stats("acme") == replace(
            NOTHING, cost=3.0, unsettled=2.0, reserved=4.0, ceiling=10.0, remaining=1.0
        )
        with no_trace(schedulers):
            for asking in (
                scheduler.submit_task("acme", "d", Task(weight=1.001)),
                scheduler.acquire("acme", "d", Task(cost=1.001)).__aenter__(),
            ):
                with pytest.raises(TenantCostExceededError, match="raise cost_ceiling") as caught:
                    await asking
                error = caught.value
                assert isinstance(error, BudgetExceededError)
                assert (error.tenant, error.agent_id) == ("acme", "acme/d")
                assert (error.limit, error.used, error.asked) == (10.0, 9.0, 1.001)
        assert await scheduler.tenant_remaining("acme") == 1.0
        await scheduler.register_tenant("acme", cost_ceiling=5)
        assert await scheduler.tenant_remaining("acme") == 0.0
        await scheduler.scheduler.cancel_task(task_id)


async def test_agent_budgets_beside_the_ceiling(tenants: Make, schedulers: Schedulers) -> None:
    """An agent's budget holds as well; a refusal by it leaves the tenant's account alone."""
    budget = BudgetPolicy(limits={"acme/a": 2})
    async with tenants(budget=budget) as scheduler:
        await scheduler.register_tenant("acme", cost_ceiling=10)
        with no_trace(schedulers), pytest.raises(BudgetExceededError) as caught:
            await scheduler.submit_task("acme", "a", Task(weight=3.0))
        assert caught.value.policy_name == "budget"
        assert await scheduler.tenant_remaining("acme") == 10.0


async def test_most_agents(tenants: Make, schedulers: Schedulers) -> None:
    """Registered, submitting and acquiring agents count; a place is free when one is
    unregistered."""
    async with tenants() as scheduler:
        await scheduler.register_tenant("acme", max_agents=2)
        await scheduler.register_agent("acme", Agent("a"))
        await scheduler.register_agent("acme", Agent("a", "again"))
        async with scheduler.acquire("acme", "b"):
            pass
        with no_trace(schedulers):
            for asking in (
                scheduler.register_agent("acme", Agent("c")),
                scheduler.submit_task("acme", "c"),
                scheduler.acquire("acme", "c").__aenter__(),
            ):
                with pytest.raises(TenantLimitError, match="'acme' has 2 agents") as caught:
                    await asking
                assert (caught.value.tenant, caught.value.max_agents) == ("acme", 2)
        assert (await scheduler.tenant_stats("acme")).agents == ("a", "b")
        await scheduler.scheduler.unregister_agent("acme/a")
        await scheduler.register_agent("acme", Agent("c"))
        assert (await scheduler.tenant_stats("acme")).agents == ("b", "c")


async def test_most_slots(tenants: Make, schedulers: Schedulers) -> None:
    """A tenant at its max_concurrency waits, though slots are free; others are granted."""
    async with tenants(capacity=3) as scheduler:
        await scheduler.register_tenant("acme", max_concurrency=1)
        await scheduler.register_tenant("other")
        start = scheduler.scheduler.acquire_start
        first = await start("acme/a")
        waiter = asyncio.create_task(start("acme/b"))
        await eventually(lambda: schedulers.waiting() == 1)
        second = await start("other/a")
        third = await start("acme")  # an agent of no tenant
        stats = await scheduler.all_tenants()
        assert (stats["acme"].holding, stats["acme"].max_concurrency) == (1, 1)
        assert (stats["other"].holding, stats["other"].max_concurrency) == (1, None)
        assert not waiter.done()
        await scheduler.scheduler.release_handle(first)
        for handle in (await waiter, second, third):
            await scheduler.scheduler.release_handle(handle)


async def test_registered_by_one_known_to_all(tenants: Make) -> None:
    """Another scheduler knows a tenant at once, its changes, and that it is gone."""
    async with tenants() as one, tenants(capacity=None) as two:
        with pytest.raises(UnknownTenantError):
            await two.tenant_stats("acme")
        await one.register_tenant("acme", max_agents=5, cost_ceiling=4, max_concurrency=1)
        assert await two.tenant_stats("acme") == replace(
            NOTHING, max_agents=5, ceiling=4.0, remaining=4.0, max_concurrency=1
        )
        await two.register_tenant("acme")
        assert await one.tenant_stats("acme") == NOTHING
        assert await one.tenant_remaining("acme") is None
        async with two.acquire("acme", "a", weight=9.0):
            pass
        assert await one.tenant_cost("acme") == 9.0
        assert (await one.tenant_stats("acme")).cost == 9.0
        await one.unregister_tenant("acme")
        with pytest.raises(UnknownTenantError):
            await two.submit_task("acme", "a")
        assert await two.all_tenants() == {}


async def test_unknown_tenants(tenants: Make, schedulers: Schedulers) -> None:
    """Whatever is done for one is a ValueError that names it, and leaves nothing."""
    async with tenants() as scheduler:
        acquisition = scheduler.acquire("acme", "a")  # says so when it is entered
        with no_trace(schedulers):
            for asking in (
                acquisition.__aenter__(),
                scheduler.submit_task("acme", "a"),
                scheduler.register_agent("acme", Agent("a")),
                scheduler.unregister_tenant("acme"),
                scheduler.tenant_stats("acme"),
                scheduler.tenant_cost("acme"),
                scheduler.tenant_remaining("acme"),
            ):
                with pytest.raises(UnknownTenantError, match="'acme'") as caught:
                    await asking
                assert isinstance(caught.value, ValueError)


async def test_unregistered_when_idle(tenants: Make) -> None:
    """A tenant with a holder or a queued task stays; with it go its agents and its account."""
    async with tenants(capacity=2) as scheduler:
        await scheduler.register_tenant("acme", max_agents=3, cost_ceiling=100)
        async with scheduler.acquire("acme", "a", weight=2.0):
            with pytest.raises(AgentBusyError, match="acme/"):
                await scheduler.unregister_tenant("acme")
        task_id = await scheduler.submit_task("acme", "b")
        with pytest.raises(AgentBusyError):
            await scheduler.unregister_tenant("acme")
        await scheduler.scheduler.cancel_task(task_id)
        await scheduler.unregister_tenant("acme")
        await scheduler.register_tenant("acme", cost_ceiling=100)
        assert await scheduler.tenant_stats("acme") == replace(
            NOTHING, ceiling=100.0, remaining=100.0
        )


async def test_tenant_of_an_agent(tenants: Make) -> None:
    """The registered tenant in a full name; a slash in other names means nothing."""
    async with tenants() as scheduler:
        await scheduler.register_tenant("acme")
        assert await scheduler.agent_tenant("acme/a/b") == "acme"
        for name in ("acme", "acme/", "other/a", "ac me/a", "/a"):
            assert await scheduler.agent_tenant(name) is None


async def test_acquisition_is_that_of_the_scheduler(tenants: Make) -> None:
    """Nesting, options and errors are as ever; a body that raises is charged nothing."""
    async with tenants() as scheduler:
        await scheduler.register_tenant("acme")
        async with scheduler.acquire("acme", "a", Task(weight=3.0)) as lease:
            assert lease.task.weight == 3.0
            with pytest.raises(ReentrantAcquireError):
                await scheduler.acquire("acme", "b").__aenter__()
            async with scheduler.acquire("acme", "b", nested="share") as shared:
                assert shared is lease
            with pytest.raises(TimeoutError):
                await scheduler.acquire("acme", "b", timeout=0, nested="allow").__aenter__()
        assert await scheduler.tenant_cost("acme") == 3.0
        with pytest.raises(KeyError):
            async with scheduler.acquire("acme", "a", Task(weight=3.0)):
                raise KeyError
        assert await scheduler.tenant_cost("acme") == 3.0
        assert await scheduler.shutdown() == {"cancelled_waiters": 0, "active_holders": 0}
        with pytest.raises(ShutdownError):
            await scheduler.submit_task("acme", "a")
        assert (await scheduler.tenant_stats("acme")).cost == 3.0


async def test_durable_tasks(tenants: Make) -> None:
    """A tenant's task is served by an acquire for the same agent of the same tenant."""
    async with tenants() as scheduler:
        await scheduler.register_tenant("acme")
        await scheduler.register_tenant("other")
        task_id = await scheduler.submit_task("acme", "a", Task(payload=b"x"))
        async with scheduler.acquire("other", "a") as lease:
            assert lease.task.task_id is None
        async with scheduler.acquire("acme", "a") as lease:
            assert (lease.task.task_id, lease.task.payload) == (task_id, b"x")


async def test_tenants_come_back_with_an_emptied_server(
    tenants: Make, schedulers: Schedulers
) -> None:
    """FLUSHALL takes the tenants, too; who registered them does so again with its session."""
    async with tenants() as scheduler:
        await scheduler.register_tenant("acme", max_agents=3)
        schedulers.server.client.flushall()
        await scheduler.scheduler.snapshot()
        await eventually(lambda: schedulers.dump().rules == {b"tacme": b"3||"})


@pytest.mark.parametrize("tenant", ["", "a b", "a/b", "ü", "x" * 65, None, 3])
async def test_bad_tenant_ids(tenants: Make, tenant: Any) -> None:
    """They are refused at once, by what is awaited and what is not."""
    scheduler = tenants()
    with pytest.raises(ValueError, match="tenant id must be"):
        scheduler.acquire(tenant, "a")
    for asking in (
        scheduler.register_tenant(tenant),
        scheduler.submit_task(tenant, "a"),
        scheduler.register_agent(tenant, Agent("a")),
    ):
        with pytest.raises(ValueError, match="tenant id must be"):
            await asking


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ({"max_agents": -1}, "max_agents.*-1"),
        ({"max_agents": 1.5}, "max_agents.*1.5"),
        ({"cost_ceiling": -0.1}, "cost_ceiling.*-0.1"),
        ({"cost_ceiling": math.nan}, "cost_ceiling.*nan"),
        ({"cost_ceiling": "much"}, "cost_ceiling.*'much'"),
        ({"max_concurrency": True}, "max_concurrency.*True"),
    ],
)
async def test_bad_limits(
    tenants: Make, schedulers: Schedulers, limits: dict[str, Any], named: str
) -> None:
    """A ValueError names the value; the tenant is as it was."""
    async with tenants() as scheduler:
        with no_trace(schedulers), pytest.raises(ValueError, match=named):
            await scheduler.register_tenant("acme", **limits)


async def test_bad_agents(tenants: Make) -> None:
    """Names too long with their tenant, empty ones, and what is no Agent."""
    scheduler = tenants()
    for agent in ("", "a\0", "x" * 512, 3):
        with pytest.raises(ValueError, match="agent id"):
            scheduler.acquire("acme", agent)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be an Agent"):
        await scheduler.register_agent("acme", "a")  # type: ignore[arg-type]


def test_values() -> None:
    """Stats are frozen."""
    with pytest.raises(FrozenInstanceError):
        NOTHING.cost = 1.0  # type: ignore[misc]
