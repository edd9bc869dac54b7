"""`scheduler.worker(...)`: handlers by agent, how many at once, what it survives."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from loco_redis.errors import TaskFailedError
from loco_redis.lease import Lease
from loco_redis.orchestration.worker import Worker
from tests.orchestration.serving.backlog import AT_ONCE, apart
from tests.proxy import proxied
from tests.schedulers import Schedulers
from tests.waiting import eventually


async def echo(lease: Lease) -> str:
    return (lease.task.payload or b"").decode()


@asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[Worker]:
    """It serves while the body runs; then it is stopped, and has ended without error."""
    run = apart(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(run, 20)


async def test_handlers_by_agent_and_pattern(schedulers: Schedulers) -> None:
    """An agent's own handler first, else the first pattern that matches; what it returns is the
    task's result."""
    handlers = {
        "acme/*": lambda lease: ["acme", lease.agent_id],
        "*": lambda lease: ["any", lease.agent_id],
        "acme/vip": lambda lease: ["own", lease.agent_id],
        "b?": lambda lease: ["never", lease.agent_id],
    }
    async with schedulers(2) as scheduler, running(scheduler.worker(handlers)) as worker:
        for agent, by in (
            ("acme/a", "acme"),
            ("acme/vip", "own"),
            ("b1", "any"),
            ("ACME/a", "any"),
        ):
            task_id = await scheduler.submit_task(agent, result_ttl=60)
            assert await scheduler.result(task_id, timeout=5) == [by, agent]
    assert (worker.done, worker.failed) == (4, 0)


async def test_handlers_of_every_kind(schedulers: Schedulers) -> None:
    """An async one runs in the loop, a sync one in a thread; both may be objects, and a sync one
    may return an awaitable."""

    class Object:
        async def __call__(self, lease: Lease) -> str:
            return threading.current_thread().name

    async def in_loop(lease: Lease) -> str:
        return threading.current_thread().name

    handlers = {
        "async": in_loop,
        "object": Object(),
        "sync": lambda lease: threading.current_thread().name,
        "lambda": lambda lease: in_loop(lease),
    }
    here = threading.current_thread().name
    async with schedulers(2) as scheduler, running(scheduler.worker(handlers)):
        for agent in handlers:
            task_id = await scheduler.submit_task(agent, result_ttl=60)
            there = await scheduler.result(task_id, timeout=5)
            assert (there == here) is (agent != "sync"), (agent, there)


async def test_what_a_handler_says_itself(schedulers: Schedulers) -> None:
    """`complete` and `fail` come before its return value; one that raises has failed, as has one
    that returns what is no result."""
    attempts: list[int] = []

    async def says(lease: Lease) -> object:
        attempts.append(lease.task.attempt)
        match lease.agent_id:
            case "completes":
                lease.complete("said")
            case "fails":
                lease.fail("said so", retry_in=0)
            case "raises":
                raise KeyError("raised")
        return object() if lease.agent_id == "returns" else "returned"

    async with schedulers() as scheduler, running(scheduler.worker({"*": says})) as worker:
        options = {"max_attempts": 2, "backoff": AT_ONCE, "result_ttl": 60}
        task_id = await scheduler.submit_task("completes", **options)  # type: ignore[arg-type]
        assert await scheduler.result(task_id, timeout=5) == "said"
        for agent, why in (
            ("fails", "said so"),
            ("raises", "KeyError: 'raised'"),
            ("returns", "must be a JSON value"),
        ):
            attempts.clear()
            task_id = await scheduler.submit_task(agent, **options)  # type: ignore[arg-type]
            with pytest.raises(TaskFailedError, match=why):
                await scheduler.result(task_id, timeout=5)
            assert attempts == [1, 2]
    assert worker.failed == 4


async def test_at_most_so_many_at_once(schedulers: Schedulers) -> None:
    """`concurrency` of this process, and the fleet's slots above it."""
    now = most = 0

    async def count(lease: Lease) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.002)
        now -= 1

    for capacity, concurrency in ((10, 3), (2, 8)):
        async with schedulers(None if most else 10) as scheduler:
            await scheduler.reconfigure(capacity=capacity)
            most = 0
            tasks = [await scheduler.submit_task("a", result_ttl=60) for _ in range(40)]
            async with running(scheduler.worker({"a": count}, concurrency=concurrency)):
                await asyncio.gather(*(scheduler.result(task, timeout=10) for task in tasks))
            assert most == min(capacity, concurrency)


async def test_a_task_without_a_handler_goes_to_others(schedulers: Schedulers) -> None:
    """It is put back for a second, without an attempt being counted, and without an error."""
    async with schedulers(2) as scheduler, schedulers(None) as other:
        async with running(scheduler.worker({"known": echo}, concurrency=1)) as worker:
            task_id = await scheduler.submit_task("unknown", max_attempts=1, result_ttl=60)
            await eventually(lambda: schedulers.dump().later, what="it is put back")
            async with running(other.worker({"unknown": lambda lease: lease.task.attempt})):
                # Either worker may be given it; sooner or later it is the right one.
                assert await scheduler.result(task_id, timeout=30) == 1
        assert (worker.done, worker.failed) == (0, 0)


async def test_redis_away_and_back(schedulers: Schedulers) -> None:
    """While nothing gets through for 2 s the worker waits; then it goes on by itself. What it had
    done meanwhile counts: its session has not expired."""
    async with schedulers(4, lease_ttl=8.0) as scheduler, proxied(schedulers.server) as proxy:
        async with schedulers(None, redis=proxy.url, lease_ttl=None, backend_timeout=0.5) as away:
            async with running(away.worker({"*": echo}, concurrency=2)) as worker:
                tasks = []
                for number in range(40):
                    tasks.append(
                        await scheduler.submit_task(
                            "a", payload=b"%d" % number, backoff=AT_ONCE, result_ttl=60
                        )
                    )
                    if number == 10:
                        proxy.stall()
                        began = time.monotonic()
                await eventually(lambda: time.monotonic() - began > 2.0)
                proxy.flow()
                proxy.cut()
                values = await asyncio.gather(
                    *(scheduler.result(task, timeout=30) for task in tasks)
                )
                assert values == [str(number) for number in range(40)]
                assert worker.failed == 0


@pytest.mark.parametrize(
    ("handlers", "options", "named"),
    [
        ({}, {}, "handlers are empty"),
        ({"a": 1}, {}, "the handler of 'a' must be callable"),
        ({"": echo}, {}, "agent id must not be empty"),
        ({3: echo}, {}, "agent id must be a str"),
        ({"a": echo}, {"concurrency": 0}, "concurrency must be an int"),
        ({"a": echo}, {"concurrency": 1.5}, "concurrency must be an int"),
        ({"a": echo}, {"grace": -1}, "grace must be a number of seconds"),
    ],
)
def test_bad_arguments(
    schedulers: Schedulers, handlers: dict[str, object], options: dict[str, float], named: str
) -> None:
    """Each is a ValueError that names it."""
    with pytest.raises(ValueError, match=named):
        schedulers().worker(handlers, **options)  # type: ignore[arg-type]


async def test_a_task_that_cannot_be_read_stops_nobody(schedulers: Schedulers) -> None:
    """It fails until it is dead, and the lane that met it serves the next."""
    async with schedulers() as scheduler:
        odd = await scheduler.submit_task("a", payload=b"x", max_attempts=1)
        schedulers.server.client.hset("loco:{llm}:bodies", odd, b"2 of tomorrow")
        async with running(scheduler.worker({"*": echo}, concurrency=1)):
            good = await scheduler.submit_task("a", payload=b"next", result_ttl=60)
            assert await scheduler.result(good, timeout=10) == "next"
        assert (await scheduler.snapshot()).dead_tasks == 1
