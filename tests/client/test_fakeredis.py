"""The main scenario on fakeredis, for users' own unit tests without a server."""

from __future__ import annotations

import asyncio

import fakeredis
import pytest

from loco_redis import AsyncLOCOScheduler, LeaseLostError, SharedResource, Task


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
            await asyncio.sleep(0.7)
            assert not any([lease.lost, lease.uncertain])
        with pytest.raises(LeaseLostError):  # noqa: PT012  the block under test is the body
            async with scheduler.acquire("a"):
                await client.flushall()
                await asyncio.Event().wait()
        async with scheduler.acquire("a"):
            pass
    await client.aclose()
