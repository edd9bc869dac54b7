"""What becomes of a served task: done, failed and tried again, given back, dead."""

from __future__ import annotations

import asyncio
import math
import time
from itertools import pairwise

import pytest

from loco_redis import AsyncLOCOScheduler
from loco_redis.backoff import Backoff
from loco_redis.errors import (
    LeaseLostError,
    NoTaskError,
    TaskFailedError,
)
from tests.orchestration.serving.backlog import AT_ONCE, ids, serve_next
from tests.schedulers import Schedulers
from tests.waiting import eventually

SOON = Backoff(0.05, 0.05)


async def test_the_last_word_counts(schedulers: Schedulers) -> None:
    """`complete` and `fail` only say what is to be when the lease ends; also where it raises."""
    async with schedulers() as scheduler:
        task_id = await scheduler.submit_task("a", result_ttl=60)
        with pytest.raises(KeyError):  # noqa: PT012  the block under test is the body
            async with scheduler.serve() as lease:
                lease.complete(1)
                lease.fail("no")
                lease.complete(2)
                raise KeyError
        assert await scheduler.result(task_id) == 2


async def test_an_agents_own_request_can_complete_and_fail(schedulers: Schedulers) -> None:
    """`acquire(agent)` serves a durable task with the same words; one that says nothing is done."""
    async with schedulers() as scheduler:
        task_id = await scheduler.submit_task("a", result_ttl=60)
        async with scheduler.acquire("a") as lease:
            lease.fail("not yet", retry_in=0)
        async with scheduler.acquire("a") as lease:
            assert (lease.task.task_id, lease.task.attempt) == (task_id, 2)
            lease.complete("now")
        assert await scheduler.result(task_id) == "now"
        task_id = await scheduler.submit_task("a", result_ttl=60)
        async with scheduler.acquire("a"):
            pass
        assert await scheduler.result(task_id) is None


async def test_only_a_durable_task_has_an_outcome(schedulers: Schedulers) -> None:
    """And only while its lease is held."""
    async with schedulers() as scheduler:
        async with scheduler.acquire("a", weight=1) as lease:
            for say in (lease.complete, lambda: lease.fail("no")):
                with pytest.raises(RuntimeError, match="serves no durable task"):
                    say()
        await scheduler.submit_task("a")
        async with scheduler.serve() as lease:
            for retry_in in (-1, math.nan, "1", 1e10):
                with pytest.raises(ValueError, match="retry_in must be a number of seconds"):
                    lease.fail("no", retry_in=retry_in)  # type: ignore[arg-type]
        with pytest.raises(RuntimeError, match="has been released"):
            lease.complete()


async def test_one_that_raises_is_tried_again(schedulers: Schedulers) -> None:
    """What it raised emerges, and is the reason if it was the last attempt; a long one is cut."""
    async with schedulers() as scheduler:
        task_id = await scheduler.submit_task("a", max_attempts=2, backoff=SOON, result_ttl=60)
        for attempt in (1, 2):
            with pytest.raises(KeyError):  # noqa: PT012  the block under test is the body
                async with scheduler.serve(timeout=5) as lease:
                    assert lease.task.attempt == attempt
                    raise KeyError("\u2603" * 4096)
        with pytest.raises(TaskFailedError) as raised:
            await scheduler.result(task_id, timeout=5)
        assert raised.value.task_id == task_id
        assert raised.value.reason.startswith("KeyError: '\u2603\u2603")
        assert len(raised.value.reason.encode()) <= 4099
        assert (await scheduler.snapshot()).dead_tasks == 1
        await scheduler.operations.requeue(task_id)
        async with scheduler.serve(timeout=5) as lease:
            assert lease.task.attempt == 1
            lease.complete("at last")
        assert await scheduler.result(task_id, timeout=5) == "at last"


async def test_retries_come_with_full_jitter(schedulers: Schedulers) -> None:
    """After attempt n within base * 2**(n-1) seconds, up to the cap, by the server's clock; tasks
    that failed together do not come back together."""
    backoff = Backoff(base=100, cap=300)
    async with schedulers() as scheduler:
        for _ in range(40):
            await scheduler.submit_task("a", backoff=backoff, max_attempts=0)
        for most in (100, 200, 300, 300):
            began = time.time()
            for _ in range(40):
                async with scheduler.serve(timeout=0) as lease:
                    lease.fail("no")
            due = sorted(at / 1e6 - began for at in schedulers.dump().later.values())
            assert due[0] >= 0
            assert 0.6 * most < due[-1] <= most + 5
            assert max(b - a for a, b in pairwise(due)) < most / 3
            assert len({round(at, 1) for at in due}) > 20
            for task_id in ids(schedulers):  # their time has come
                schedulers.server.client.zadd("loco:{llm}:later", {task_id: 1})
            schedulers.server.client.hset("loco:{llm}:vars", "counters", _alarmed(schedulers))
        for _ in range(40):
            await serve_next(scheduler, timeout=0)


def _alarmed(schedulers: Schedulers) -> bytes:
    """The counters with something that has been due for long."""
    fields = schedulers.server.client.hget("loco:{llm}:vars", "counters").split(b"|")
    return b"|".join((*fields[:-2], b"1", fields[-1]))


@pytest.mark.alone
async def test_retry_in_is_kept(schedulers: Schedulers) -> None:
    """Neither before nor much after; the slot is free meanwhile, and the task keeps its age."""
    async with schedulers(1) as scheduler:
        task_id = await scheduler.submit_task("a")
        await scheduler.submit_task("b")
        async with scheduler.serve() as lease:
            lease.fail("busy", retry_in=0.4)
        began = time.monotonic()
        await serve_next(scheduler, timeout=0)
        async with scheduler.serve(timeout=5) as lease:
            assert 0.38 < time.monotonic() - began < 0.65
            assert (lease.task.task_id, lease.task.attempt) == (task_id, 2)
            assert lease.waited_ticks == 2


async def test_a_cancelled_body_gives_its_task_back(schedulers: Schedulers) -> None:
    """At once, and without an attempt being counted: it is not to blame."""
    async with schedulers(2) as scheduler:
        task_id = await scheduler.submit_task("a", max_attempts=1)
        entered = asyncio.Event()

        async def body() -> None:
            async with scheduler.serve():
                entered.set()
                await asyncio.Event().wait()

        for _ in range(3):
            running = asyncio.create_task(body())
            await entered.wait()
            entered.clear()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        async with scheduler.serve(timeout=0) as lease:
            assert (lease.task.task_id, lease.task.attempt) == (task_id, 1)


async def test_cancelled_while_it_waits(schedulers: Schedulers) -> None:
    """Nothing of it is left, and a task that comes then waits for others."""
    async with schedulers(2) as scheduler:
        waiting = asyncio.create_task(serve_next(scheduler))
        await eventually(lambda: schedulers.waiting() == 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await eventually(lambda: schedulers.waiting() == 0)
        task_id = await scheduler.submit_task("a")
        async with scheduler.serve(timeout=0) as lease:
            assert (lease.task.task_id, lease.task.attempt) == (task_id, 1)


async def test_a_lost_lease_leaves_its_task_to_others(schedulers: Schedulers) -> None:
    """An operator takes the slot: the body is cancelled, its result does not count, and the task is
    served again with a higher token."""
    async with schedulers(1) as scheduler, schedulers(None) as other:
        task_id = await scheduler.submit_task("a", result_ttl=60)
        with pytest.raises(LeaseLostError):  # noqa: PT012  the block under test is the body
            async with scheduler.serve() as lease:
                lease.complete("of nobody")
                await other.operations.release(lease.token)
                await asyncio.sleep(30)
        async with other.serve(timeout=5) as again:
            assert (again.task.task_id, again.task.attempt) == (task_id, 2)
            assert again.token > lease.token
            again.complete("of the second")
        assert await scheduler.result(task_id, timeout=5) == "of the second"


async def test_costs_of_what_failed_are_not_charged(schedulers: Schedulers) -> None:
    """A task that is done costs its weight, one that failed what was settled."""
    async with schedulers() as scheduler:
        await scheduler.submit_task("a", weight=3, backoff=AT_ONCE)
        async with scheduler.serve() as lease:
            lease.fail("no")
        assert schedulers.dump().costs.get(b"a") in (None, b"0")
        await serve_next(scheduler)
        assert schedulers.dump().costs[b"a"] == b"3000"


async def test_a_task_whose_body_cannot_be_read(schedulers: Schedulers) -> None:
    """Of a newer version, perhaps: whoever serves it is told, and it has failed, so it does not
    come for ever."""
    async with schedulers() as scheduler:
        task_id = await scheduler.submit_task("a", payload=b"x", max_attempts=1)
        body = schedulers.dump().bodies[task_id.encode()]
        schedulers.server.client.hset("loco:{llm}:bodies", task_id, b"2 of tomorrow")
        with pytest.raises(ValueError, match="written by a newer version"):
            await serve_next(scheduler)
        assert b"newer version" in schedulers.dump().orders[b"e" + task_id.encode()]
        with pytest.raises(NoTaskError):
            await _attempt(scheduler)
        schedulers.server.client.hset("loco:{llm}:bodies", task_id, body)
        await scheduler.operations.requeue(task_id)
        assert await _attempt(scheduler) == 1


async def _attempt(scheduler: AsyncLOCOScheduler) -> int:
    async with scheduler.serve(timeout=0) as lease:
        return lease.task.attempt


def _asking(schedulers: Schedulers, task_id: str) -> int:
    """Sessions that wait for this result."""
    return schedulers.dump().orders.get(b"w" + task_id.encode(), b"").count(b",")
