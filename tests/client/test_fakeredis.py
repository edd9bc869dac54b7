"""The main scenario on fakeredis, for users' own unit tests without a server."""

from __future__ import annotations

import asyncio

import fakeredis
import pytest

from loco_redis import (
    AcquireTimeoutError,
    Agent,
    AsyncLOCOScheduler,
    BudgetExceededError,
    BudgetPolicy,
    LeaseLostError,
    MultiTenantScheduler,
    SharedResource,
    Task,
    TrustScorer,
)
from tests.waiting import eventually


async def test_main_scenario() -> None:
    """Two schedulers on one fake server share two slots, serve durable tasks and count costs."""
    client = fakeredis.FakeAsyncRedis(server=fakeredis.FakeServer())

    def make() -> AsyncLOCOScheduler:
        return AsyncLOCOScheduler([], SharedResource("llm", 2), redis=client, lease_ttl=2.0)

    async def work(scheduler: AsyncLOCOScheduler, agent: str) -> None:
        for _ in range(5):
            async with scheduler.acquire(agent, weight=2.0, timeout=10.0) as lease:
                await asyncio.sleep(0)
                await lease.settle(1.5)

    async with make() as one, make() as two:
        task_id = await one.submit_task("batch", Task(payload=b"x"))
        async with two.acquire("batch") as lease:
            assert (lease.task.task_id, lease.task.payload) == (task_id, b"x")
        async with asyncio.TaskGroup() as group:
            for index in range(6):
                group.create_task(work((one, two)[index % 2], f"agent-{index}"))
        snapshot = await one.snapshot()
        assert (snapshot.released, snapshot.peak, snapshot.holders) == (31, 2, ())
        assert await two.metrics.total_cost() == pytest.approx(1.0 + 30 * 1.5)
    await client.aclose()


async def test_heartbeat_keeps_the_lease() -> None:
    """The heartbeat's twin client works on the same fake server; FLUSHALL loses the lease."""
    client = fakeredis.FakeAsyncRedis(server=fakeredis.FakeServer())
    scheduler = AsyncLOCOScheduler([], SharedResource("llm", 1), redis=client, lease_ttl=0.3)
    async with scheduler:
        async with scheduler.acquire("a") as lease:
            ledger = lease._ledger
            first = ledger.deadline
            await eventually(lambda: ledger.deadline > first + 0.3)
            assert not any([lease.lost, lease.uncertain])
        with pytest.raises(LeaseLostError):  # noqa: PT012  the block under test is the body
            async with scheduler.acquire("a"):
                await client.flushall()
                await asyncio.Event().wait()
        async with scheduler.acquire("a"):
            pass
    await client.aclose()


async def test_governance() -> None:
    """Budgets, tenants, caps, rates, trust and figures work on the fake server, too."""
    client = fakeredis.FakeAsyncRedis(server=fakeredis.FakeServer())
    resource = SharedResource("llm", 3, rpm=6000)
    async with AsyncLOCOScheduler(
        [Agent("capped", max_concurrency=1)],
        resource,
        redis=client,
        budget=BudgetPolicy(10, period="month"),
        trust_scorer=TrustScorer(),
        auto_tune=True,
    ) as scheduler:
        async with scheduler.acquire("a", Task(cost=8.0, team="x")) as lease:
            await lease.settle(7.0)
        with pytest.raises(BudgetExceededError):
            await scheduler.acquire_start("a", Task(cost=8.0))
        assert scheduler.budget is not None
        assert await scheduler.budget.remaining("a") == 3.0
        assert await scheduler.metrics.attribution.cost_by_team() == {"x": 7.0}
        async with scheduler.acquire("capped"):
            with pytest.raises(AcquireTimeoutError):
                await scheduler.acquire_start("capped", timeout=0, nested="allow")
    tenants = MultiTenantScheduler(SharedResource("other", 3), redis=client)
    async with tenants:
        await tenants.register_tenant("acme", cost_ceiling=5.0)
        async with tenants.acquire("acme", "x", weight=2.0):
            assert await tenants.tenant_remaining("acme") == 3.0
    await client.aclose()
