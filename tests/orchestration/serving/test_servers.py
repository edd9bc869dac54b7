"""Serving on servers that are killed, are full, allow no EVAL, or are a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from loco_redis import AsyncLOCOScheduler, BackendMemoryError, BudgetPolicy, SharedResource, Task
from loco_redis.errors import TaskExpiredError, TaskFailedError
from tests.clusters import cluster_url
from tests.faults.own_server import own_server
from tests.faults.topologies import Mortal
from tests.hardened import FUNCTIONS, Hardened, any_hardened, any_hardened_schedulers
from tests.orchestration.serving.backlog import AT_ONCE, apart, serve_next
from tests.schedulers import NAME, Schedulers
from tests.servers import Server
from tests.waiting import eventually

__all__ = ["any_hardened", "any_hardened_schedulers", "cluster_url", "own_server"]


async def whole_life(scheduler: AsyncLOCOScheduler) -> None:
    """Everything that may become of tasks, once."""
    done = await scheduler.submit_task("a", payload=b"x", delay=0.01, result_ttl=60, dedup_key="k")
    assert await scheduler.submit_task("a", dedup_key="k") == done
    waiting = apart(scheduler.result(done, timeout=20))
    async with scheduler.serve(timeout=10) as lease:
        assert lease.task.payload == b"x"
        lease.fail("not yet", retry_in=0.01)
    await serve_next(scheduler, "done", timeout=10)
    assert await waiting == "done"
    failed = await scheduler.submit_task("b", max_attempts=1, result_ttl=60)
    async with scheduler.serve() as lease:
        lease.fail("no")
    with pytest.raises(TaskFailedError, match="no"):
        await scheduler.result(failed, timeout=10)
    late = await scheduler.submit_task("c", deadline=0.01, result_ttl=60)
    with pytest.raises(TaskExpiredError):
        await scheduler.result(late, timeout=10)
    await scheduler.operations.requeue(failed)
    await serve_next(scheduler)
    await scheduler.cancel_task(late)
    assert (await scheduler.snapshot()).durable_tasks == 0


async def test_every_server(any_schedulers: Schedulers) -> None:
    """All kinds of servers that this machine has."""
    async with any_schedulers() as scheduler:
        await whole_life(scheduler)


async def test_without_eval(any_hardened: Hardened, any_hardened_schedulers: Schedulers) -> None:
    """As functions, by a user who has the rights of a worker and no others."""
    any_hardened.load()
    async with any_hardened_schedulers(redis=any_hardened.url, **FUNCTIONS) as scheduler:
        await whole_life(scheduler)


async def test_on_a_cluster(cluster_url: str) -> None:
    """All keys of a resource lie in one slot."""
    resource = SharedResource("backlog", 1)
    async with AsyncLOCOScheduler((), resource, redis=cluster_url, lease_ttl=2.0) as scheduler:
        await whole_life(scheduler)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Mortal]:
    server = Mortal("--appendonly", "yes", "--appendfsync", "always", "--dir", str(tmp_path))
    yield server
    server.end()


@pytest.mark.chaos
async def test_a_server_that_is_killed_keeps_its_tasks(mortal: Mortal) -> None:
    """With its append-only file: queued, delayed, dead and done ones are as they were; a body that
    runs goes on, who waits for a result or a task waits on."""
    resource = SharedResource(NAME, 4)
    url = mortal.process.url
    async with AsyncLOCOScheduler((), resource, redis=url, lease_ttl=2.0) as scheduler:
        kept = await scheduler.submit_task("a", result_ttl=60)
        await serve_next(scheduler, {"kept": True})
        dead = await scheduler.submit_task("a", max_attempts=1, result_ttl=60)
        async with scheduler.serve() as lease:
            lease.fail("no")
        runs = await scheduler.submit_task("a", result_ttl=60)
        async with scheduler.serve() as lease:
            queued = await scheduler.submit_task("b", payload=b"queued", result_ttl=60)
            delayed = await scheduler.submit_task("c", delay=1.0, result_ttl=60)
            waiting = [apart(scheduler.result(task)) for task in (runs, queued, delayed)]
            mortal.kill()
            mortal.start()
            assert not lease.lost
            lease.complete("over the restart")
        assert await scheduler.result(kept, timeout=10) == {"kept": True}
        with pytest.raises(TaskFailedError, match="no"):
            await scheduler.result(dead, timeout=10)
        assert await serve_next(scheduler, 1) == queued
        assert await serve_next(scheduler, 2) == delayed
        found = await asyncio.wait_for(asyncio.gather(*waiting), 20)
        assert found == ["over the restart", 1, 2]


@pytest.mark.chaos
async def test_a_server_that_is_full(own_server: Server) -> None:
    """It takes no more tasks, and no servers; those at hand can be done, result included, and fail.
    Whoever waits for a result is told."""
    schedulers, client = Schedulers(own_server), own_server.client
    scheduler = schedulers(3)
    done, failed = [
        await scheduler.submit_task("a", result_ttl=60, backoff=AT_ONCE) for _ in range(2)
    ]
    waiting = apart(scheduler.result(done, timeout=20))
    await eventually(lambda: b"w" + done.encode() in schedulers.dump().orders)
    async with scheduler.serve() as first:
        async with scheduler.serve(nested="allow") as second:
            client.config_set("maxmemory", 1)
            with pytest.raises(BackendMemoryError):
                await scheduler.submit_task("a")
            with pytest.raises(BackendMemoryError):
                await apart(serve_next(scheduler))
            second.fail("full", retry_in=0.05)
        first.complete(b"x" * 1000)
    assert await waiting == b"x" * 1000
    client.config_set("maxmemory", 0)
    assert await serve_next(scheduler) == failed
    await schedulers.aclose()


async def test_budgets_are_kept_over_attempts(schedulers: Schedulers) -> None:
    """A task reserves when it is submitted and again for each next attempt; what fails spends
    nothing, what dies or is cancelled gives its reservation back."""
    budget = BudgetPolicy(limits={"a": 10.0}, on_exceeded="reject")
    async with schedulers(1, budget=budget) as scheduler:

        async def left() -> float | None:
            return await scheduler.budget.remaining("a")

        task = Task(cost=4.0, max_attempts=2, backoff=AT_ONCE)
        await scheduler.submit_task("a", task)
        assert await left() == 6.0
        async with scheduler.serve() as lease:
            lease.fail("once")
        assert await left() == 6.0
        await serve_next(scheduler)
        assert await left() == 6.0
        await scheduler.submit_task("a", task)
        for _ in range(2):
            assert await left() == 2.0
            async with scheduler.serve() as lease:
                lease.fail("for ever")
        assert await left() == 6.0
        late = await scheduler.submit_task("a", task, deadline=0.02, result_ttl=60)
        with pytest.raises(TaskExpiredError):
            await scheduler.result(late, timeout=10)
        assert await left() == 6.0
        await scheduler.cancel_task(await scheduler.submit_task("a", task, delay=60))
        assert await left() == 6.0
