"""When a task may start, and until when it must be done."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from loco_redis.errors import NoTaskError, TaskExpiredError
from tests.orchestration.serving.backlog import AT_ONCE, serve_next
from tests.schedulers import Schedulers
from tests.waiting import eventually

NAIVE = datetime(2030, 1, 1)


@pytest.mark.alone
async def test_a_delayed_task_comes_in_time(schedulers: Schedulers) -> None:
    """Not before, and to a waiting server at most a quarter of a second after it: somebody looks
    again at that very moment. It arrives then, so it has no age."""
    async with schedulers() as scheduler, schedulers(None) as server:
        for options in ({"delay": 0.3}, {"not_before": datetime.now(UTC) + timedelta(seconds=0.8)}):
            began = time.monotonic()
            await scheduler.submit_task("a", **options)  # type: ignore[arg-type]
            snapshot = await scheduler.snapshot()
            assert (snapshot.delayed_tasks, snapshot.competing) == (1, 0)
            async with server.serve(timeout=5) as lease:
                waited = time.monotonic() - began
                assert lease.waited_ticks == 0
            least = options.get("delay", 0.0)
            assert isinstance(least, float)
            assert least <= waited + 0.002 < 1.05


@pytest.mark.alone
async def test_a_delayed_task_comes_without_its_submitter(schedulers: Schedulers) -> None:
    """A server that waits since before learns of it by its next heartbeat, and is on time."""
    async with schedulers() as server:
        served = asyncio.create_task(serve_next(server))
        await eventually(lambda: schedulers.waiting() == 1)
        async with schedulers(None) as submitter:
            await submitter.submit_task("a", delay=1.0)
            began = time.monotonic()
        await served
        assert 0.9 < time.monotonic() - began < 1.7  # a heartbeat comes each half second


async def test_a_moment_that_has_passed_is_now(schedulers: Schedulers) -> None:
    """`not_before` may be long ago, as a datetime and as seconds since the epoch."""
    async with schedulers() as scheduler:
        await scheduler.submit_task("a", not_before=datetime(2020, 1, 1, tzinfo=UTC))
        await scheduler.submit_task("a", not_before=1.0)
        await scheduler.submit_task("a", delay=0)
        for _ in range(3):
            await serve_next(scheduler, timeout=0)


async def test_delayed_tasks_come_in_the_order_of_their_moments(schedulers: Schedulers) -> None:
    """In one agent's queue the one that is due first is served first, whoever came first."""
    async with schedulers() as scheduler:
        late = await scheduler.submit_task("a", delay=0.2)
        early = await scheduler.submit_task("a", delay=0.1)
        assert [await serve_next(scheduler) for _ in range(2)] == [early, late]


async def test_a_delayed_task_can_be_cancelled(schedulers: Schedulers) -> None:
    """Nothing of it is left."""
    async with schedulers() as scheduler:
        task_id = await scheduler.submit_task("a", delay=60, deadline=90, dedup_key="k")
        await scheduler.cancel_task(task_id)
        dump = schedulers.dump()
        assert [*dump.tasks, *dump.orders, *dump.later, *dump.timers] == []


async def test_a_task_that_nobody_serves_in_time_is_dead(schedulers: Schedulers) -> None:
    """Queued or delayed, it dies at its deadline: a moment, or seconds from now."""
    async with schedulers() as scheduler:
        soon = datetime.now(UTC) + timedelta(seconds=0.05)
        tasks = [
            await scheduler.submit_task("a", deadline=0.05, result_ttl=60),
            await scheduler.submit_task("a", deadline=soon, result_ttl=60),
            await scheduler.submit_task("a", delay=60, deadline=soon, result_ttl=60),
        ]
        for task_id in tasks:
            with pytest.raises(TaskExpiredError, match="deadline") as raised:
                await scheduler.result(task_id, timeout=5)
            assert raised.value.task_id == task_id
        with pytest.raises(NoTaskError):
            await serve_next(scheduler, timeout=0)
        assert (await scheduler.snapshot()).dead_tasks == 3


async def test_a_running_task_may_be_done_after_its_deadline(schedulers: Schedulers) -> None:
    """But it is not tried again then."""
    async with schedulers(2) as scheduler:
        done, failed = [
            await scheduler.submit_task("a", deadline=0.1, result_ttl=60, backoff=AT_ONCE)
            for _ in range(2)
        ]
        async with scheduler.serve() as first:
            async with scheduler.serve(nested="allow") as second:
                await eventually(lambda: not schedulers.dump().timers, what="the deadline rings")
                assert (first.task.task_id, second.task.task_id) == (done, failed)
                second.fail("too late")
            first.complete("late")
        assert await scheduler.result(done, timeout=5) == "late"
        with pytest.raises(TaskExpiredError):
            await scheduler.result(failed, timeout=5)


async def test_a_requeued_task_has_no_deadline_that_has_passed(schedulers: Schedulers) -> None:
    """`requeue` means it: it is served, as if it had not been tried."""
    async with schedulers() as scheduler:
        task_id = await scheduler.submit_task("a", deadline=0.05, result_ttl=60)
        with pytest.raises(TaskExpiredError):
            await scheduler.result(task_id, timeout=5)
        await scheduler.operations.requeue(task_id)
        async with scheduler.serve(timeout=5) as lease:
            assert (lease.task.task_id, lease.task.attempt) == (task_id, 1)
        assert await scheduler.result(task_id, timeout=5) is None
