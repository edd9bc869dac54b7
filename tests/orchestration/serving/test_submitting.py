"""What `submit_task` may be told: options, how often a task is tried, under which key."""

from __future__ import annotations

import asyncio
import math
from datetime import datetime

import pytest

from loco_redis import AsyncLOCOScheduler, Task
from loco_redis._rows import TaskRow
from loco_redis.backoff import Backoff
from loco_redis.errors import TaskExpiredError, TaskFailedError, UnknownTaskError
from tests.orchestration.serving.backlog import AT_ONCE, ids, serve_next
from tests.schedulers import Schedulers

NAIVE = datetime(2030, 1, 1)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"delay": -1}, "delay must be a number of seconds"),
        ({"delay": math.nan}, "delay must be a number of seconds.*nan"),
        ({"delay": "1"}, "delay must be a number of seconds.*'1'"),
        ({"delay": True}, "delay must be a number of seconds"),
        ({"delay": 1e9}, "delay must be a number of seconds"),
        ({"delay": 1, "not_before": 1}, "both delay and not_before"),
        ({"not_before": NAIVE}, "not_before must have a time zone"),
        ({"not_before": -1}, "not_before must be a number of seconds"),
        ({"not_before": math.inf}, "not_before must be a number of seconds"),
        ({"deadline": NAIVE}, "deadline must have a time zone"),
        ({"deadline": -0.1}, "deadline must be a number of seconds"),
        ({"delay": 2, "deadline": 1}, "the deadline 1 is not after the start"),
        ({"deadline": "tomorrow"}, "deadline must be a number of seconds"),
        ({"dedup_key": ""}, "dedup_key must be a str of 1 to 512"),
        ({"dedup_key": "x" * 513}, "dedup_key must be a str of 1 to 512"),
        ({"dedup_key": "\ud800"}, "dedup_key must be a str of 1 to 512"),
        ({"dedup_key": 7}, "dedup_key must be a str of 1 to 512"),
        ({"result_ttl": -1}, "result_ttl must be a number of seconds"),
        ({"result_ttl": math.inf}, "result_ttl must be a number of seconds"),
        ({"result_ttl": "1h"}, "result_ttl must be a number of seconds.*'1h'"),
        ({"max_attempts": -1}, "max_attempts"),
        ({"max_attempts": 1.5}, "max_attempts"),
        ({"backoff": 3}, "backoff must be a Backoff"),
        ({"payload": "text"}, "payload must be bytes"),
        ({"payload": b"x" * ((1 << 20) + 1)}, "payload has 1048577 bytes"),
        ({"weight": 0}, "weight must be a number from 1"),
    ],
)
async def test_bad_options_are_refused(
    schedulers: Schedulers, options: dict[str, object], named: str
) -> None:
    """Each by a ValueError that names it, before anything is sent."""
    async with schedulers() as scheduler:
        with pytest.raises(ValueError, match=named):
            await scheduler.submit_task("a", **options)  # type: ignore[arg-type]
    assert not schedulers.dump().tasks


async def test_options_replace_those_of_the_task(schedulers: Schedulers) -> None:
    """What is said beside a Task is said of it; whoever serves it sees all of it."""
    task = Task(weight=7, payload=b"old", max_attempts=9, task_type="kept")
    async with schedulers() as scheduler:
        task_id = await scheduler.submit_task(
            "a", task, weight=2, payload=b"new", max_attempts=4, backoff=Backoff(3, 5)
        )
        async with scheduler.serve(timeout=5) as lease:
            served = lease.task
    assert (served.task_id, served.weight, served.payload) == (task_id, 2, b"new")
    assert (served.attempt, served.task_type) == (1, "kept")
    assert (served.backoff, task.payload) == (Backoff(3, 5), b"old")


async def test_a_plain_task_needs_no_order(schedulers: Schedulers) -> None:
    """Without any of these options nothing but the task is stored."""
    async with schedulers() as scheduler:
        await scheduler.submit_task("a")
        assert not schedulers.dump().orders
        await serve_next(scheduler)


async def test_a_key_has_one_task(schedulers: Schedulers) -> None:
    """While its task is delayed, queued, runs, or its result is kept, the key names it."""
    async with schedulers() as scheduler:

        async def submit(**options: float) -> str:
            return await scheduler.submit_task("a", dedup_key="night|1", **options)

        first = await submit(delay=0.05, result_ttl=0.5)
        assert await submit() == first
        async with scheduler.serve(timeout=5) as lease:
            assert await submit() == first
            lease.complete(1)
        assert await submit() == first
        assert await scheduler.result(first) == 1
        assert await _until_unknown(scheduler, first)
        second = await submit()
        assert second != first
        await serve_next(scheduler)  # no result is kept: the key is free at once
        third = await submit(max_attempts=1)
        assert third != second
        async with scheduler.serve(timeout=5) as lease:
            lease.fail("no")
        assert await submit(result_ttl=60) != third  # a dead task has no key
        await scheduler.cancel_task(third)
        assert ids(schedulers) == [await submit()]
        await serve_next(scheduler)


async def test_a_dead_task_takes_its_key_back(schedulers: Schedulers) -> None:
    """When it is requeued; unless another task has it meanwhile."""
    async with schedulers(2) as scheduler:
        dead = [
            await scheduler.submit_task("a", dedup_key=key, deadline=0.01, result_ttl=60)
            for key in ("k", "l")
        ]
        for task_id in dead:
            with pytest.raises(TaskExpiredError):
                await scheduler.result(task_id, timeout=5)
        other = await scheduler.submit_task("a", dedup_key="l")
        for task_id in dead:
            await scheduler.operations.requeue(task_id)
        assert await scheduler.submit_task("a", dedup_key="k") == dead[0]
        assert await scheduler.submit_task("a", dedup_key="l") == other
        for _ in range(3):
            await serve_next(scheduler)


async def test_processes_agree_about_a_key(schedulers: Schedulers) -> None:
    """Of many that submit it at once one task comes out."""
    first = schedulers()
    others = [first, *(schedulers(None) for _ in range(3))]
    await first.snapshot()
    tasks = await asyncio.gather(
        *(one.submit_task("a", dedup_key="k") for one in others for _ in range(10))
    )
    assert len(set(tasks)) == 1
    await serve_next(first)


async def test_attempts_are_counted_to_the_last(schedulers: Schedulers) -> None:
    """After max_attempts it is dead, with its last error; 0 means without end."""
    async with schedulers() as scheduler:
        task_id = await scheduler.submit_task("a", max_attempts=3, backoff=AT_ONCE, result_ttl=60)
        for attempt in (1, 2, 3):
            async with scheduler.serve(timeout=5) as lease:
                assert lease.task.attempt == attempt
                lease.fail(f"no. {attempt}")
        with pytest.raises(TaskFailedError, match=r"dead \(no\. 3\)"):
            await scheduler.result(task_id, timeout=5)
        row = TaskRow.parse(schedulers.dump().tasks[task_id.encode()])
        assert (row.state, row.attempt, row.max_attempts) == ("D", 3, 3)
        await scheduler.cancel_task(task_id)
        with pytest.raises(UnknownTaskError):
            await scheduler.result(task_id)


async def _until_unknown(scheduler: AsyncLOCOScheduler, task_id: str) -> bool:
    """Until its result is kept no more."""
    for _ in range(500):
        try:
            await scheduler.result(task_id, timeout=5)
        except UnknownTaskError:
            return True
        await asyncio.sleep(0.01)
    return False
