"""loco-redis in ten small steps; read from the top.

Each test is one idea, in plain public calls. What they leave out (faults, races, odd inputs) is
tested in the other folders.
"""

from __future__ import annotations

import asyncio

import pytest

from loco_redis import (
    AcquireTimeoutError,
    Agent,
    AsyncLOCOScheduler,
    LeaseLostError,
    LOCOScheduler,
    SharedResource,
    Task,
)


async def test_01_a_slot_is_held_inside_a_with_block(redis_url: str) -> None:
    """The scheduler guards a resource; whoever is inside the block holds one of its slots."""
    async with AsyncLOCOScheduler(
        [Agent("urgent", agent_type="webhook")],
        SharedResource("llm_api", capacity=1),
        redis=redis_url,
    ) as scheduler:
        async with scheduler.acquire("urgent") as lease:
            assert lease.slot == 0
            assert len((await scheduler.snapshot()).holders) == 1
        assert (await scheduler.snapshot()).holders == ()


async def test_02_others_wait_for_their_turn(redis_url: str) -> None:
    """With one slot, the second body runs when the first has left."""
    order: list[str] = []

    async def work(agent: str) -> None:
        async with scheduler.acquire(agent):
            order.append(f"{agent} in")
            await asyncio.sleep(0.01)
            order.append(f"{agent} out")

    resource = SharedResource("llm_api", capacity=1)
    async with AsyncLOCOScheduler([], resource, redis=redis_url) as scheduler:
        await asyncio.gather(work("a"), work("b"))
    assert order == ["a in", "a out", "b in", "b out"]


async def test_03_processes_share_by_the_name_of_the_resource(redis_url: str) -> None:
    """Two schedulers, as in two processes: the first stores the capacity, the second adopts it."""
    async with AsyncLOCOScheduler([], SharedResource("gpu", capacity=1), redis=redis_url) as one:
        async with AsyncLOCOScheduler([], SharedResource("gpu"), redis=redis_url) as two:
            async with one.acquire("a"):
                with pytest.raises(AcquireTimeoutError):
                    # In a task of its own: nested in one task it would be refused at once.
                    await asyncio.create_task(two.acquire_start("b", timeout=0, nested="allow"))
            async with two.acquire("b", timeout=0):
                pass


async def test_04_weight_tells_how_much_is_queued(redis_url: str) -> None:
    """Load is queue depth by weight and age; alpha weighs the one against the other."""
    order: list[str] = []

    async def work(agent: str, weight: float) -> None:
        async with scheduler.acquire(agent, weight=weight):
            order.append(agent)

    resource = SharedResource("llm_api", capacity=0)  # paused, so that all can queue up
    async with AsyncLOCOScheduler(
        [], resource, redis=redis_url, optimize_for="throughput"
    ) as scheduler:
        workers = [
            asyncio.create_task(work(agent, weight))
            for agent, weight in (("light", 1.0), ("heavy", 5.0), ("middle", 3.0))
        ]
        while len((await scheduler.snapshot()).waiters) < 3:  # noqa: ASYNC110  they come at once
            await asyncio.sleep(0.001)
        await scheduler.reconfigure(capacity=1)
        await asyncio.gather(*workers)
    assert order == ["heavy", "middle", "light"]


async def test_05_the_real_cost_is_settled_afterwards(redis_url: str) -> None:
    """The weight is an estimate; settle() replaces it by what the work has cost."""
    resource = SharedResource("llm_api", capacity=1)
    async with AsyncLOCOScheduler([], resource, redis=redis_url) as scheduler:
        async with scheduler.acquire("analyst", weight=3.0) as lease:
            await lease.settle(cost=2.4)
        async with scheduler.acquire("batch", weight=3.0):
            pass
        assert await scheduler.metrics.cost_by_agent() == {"analyst": 2.4, "batch": 3.0}


async def test_06_a_durable_task_outlives_its_submitter(redis_url: str) -> None:
    """submit_task leaves it in Redis; any process that acquires for the agent serves it."""
    resource = SharedResource("llm_api", capacity=1)
    async with AsyncLOCOScheduler([], resource, redis=redis_url) as submitter:
        task_id = await submitter.submit_task("batch", Task(weight=2.0, payload=b"document 7"))
    async with AsyncLOCOScheduler([], SharedResource("llm_api"), redis=redis_url) as worker:
        async with worker.acquire("batch") as lease:
            assert lease.task.task_id == task_id
            assert lease.task.payload == b"document 7"
            assert lease.task.attempt == 1


async def test_07_a_body_that_raises_frees_its_slot(redis_url: str) -> None:
    """The exception emerges; the slot is free at once; nothing is charged."""
    resource = SharedResource("llm_api", capacity=1)
    async with AsyncLOCOScheduler([], resource, redis=redis_url) as scheduler:
        with pytest.raises(ConnectionError):
            async with scheduler.acquire("a"):
                raise ConnectionError("the provider hung up")
        async with scheduler.acquire("b", timeout=0):
            pass
        assert await scheduler.metrics.cost_by_agent() == {"b": 1.0}


async def test_08_a_lost_lease_ends_its_body(redis_url: str, server: object) -> None:
    """When Redis takes a slot back, here because its data were wiped, the body is cancelled: it
    must not go on as if it were alone. Tokens of later leases are higher, so that the resource can
    refuse those who come too late."""
    resource = SharedResource("llm_api", capacity=1)
    async with AsyncLOCOScheduler([], resource, redis=redis_url, lease_ttl=0.4) as scheduler:
        with pytest.raises(LeaseLostError) as lost:  # noqa: PT012  the body is what is shown
            async with scheduler.acquire("a"):
                server.client.flushall()  # type: ignore[attr-defined]
                await asyncio.Event().wait()
        async with scheduler.acquire("a") as lease:
            assert lease.token > lost.value.token


async def test_09_shutdown_lets_holders_finish(redis_url: str) -> None:
    """No new work is taken, waiters are told, and holders get their time."""
    resource = SharedResource("llm_api", capacity=1)
    async with AsyncLOCOScheduler([], resource, redis=redis_url) as scheduler:
        handle = await scheduler.acquire_start("a")  # the form without a with-block
        report = asyncio.create_task(scheduler.shutdown(timeout=30.0))
        await asyncio.sleep(0)
        await scheduler.release_handle(handle)
        assert await report == {"cancelled_waiters": 0, "active_holders": 0}


def test_10_the_same_without_asyncio(redis_url: str) -> None:
    """LOCOScheduler is for plain code and threads."""
    resource = SharedResource("llm_api", capacity=1)
    with LOCOScheduler([], resource, redis=redis_url) as scheduler:
        with scheduler.acquire("script", weight=2.0) as lease:
            lease.settle(cost=1.5)
        assert scheduler.metrics.total_cost() == 1.5
