"""Results: what they may be, who is told of them, how long they are kept."""

from __future__ import annotations

import asyncio
import math

import pytest

from loco_redis.backoff import Backoff
from loco_redis.errors import (
    ResultNotKeptError,
    ShutdownError,
    UnknownTaskError,
)
from tests.orchestration.serving.backlog import serve_next
from tests.schedulers import Schedulers
from tests.waiting import eventually

SOON = Backoff(0.05, 0.05)


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -1.5, "text \u2603", "", [], {"a": [1, {"b": None}]}, b"", b"\x00\xff", 2**60],
    ids=repr,
)
async def test_a_result_is_a_json_value_or_bytes(schedulers: Schedulers, value: object) -> None:
    """It comes back as it was given."""
    async with schedulers() as scheduler:
        task_id = await scheduler.submit_task("a", result_ttl=60)
        await serve_next(scheduler, value)
        found = await scheduler.result(task_id)
        assert (found, type(found)) == (value, type(value))


async def test_other_results_are_refused(schedulers: Schedulers) -> None:
    """By the handler's `complete`, with the remedy; the task is not done by it."""
    endless: list[object] = []
    endless.append(endless)
    async with schedulers() as scheduler:
        task_id = await scheduler.submit_task("a", result_ttl=60)
        async with scheduler.serve() as lease:
            for value in (object(), {1, 2}, math.nan, endless, {"a": b"bytes within"}):
                with pytest.raises(ValueError, match="must be a JSON value or bytes"):
                    lease.complete(value)
            for value in (b"x" * (1 << 20), "x" * ((1 << 20) - 2)):
                with pytest.raises(ValueError, match="the result takes 1048577 bytes"):
                    lease.complete(value)
            lease.complete(b"x" * ((1 << 20) - 1))
        assert len(await scheduler.result(task_id)) == (1 << 20) - 1


async def test_a_result_is_forgotten_in_time(schedulers: Schedulers) -> None:
    """After result_ttl it is unknown, as one that was never asked to be kept, or never was; of one
    that will not be kept it is said at once."""
    async with schedulers() as scheduler:
        kept = await scheduler.submit_task("a", result_ttl=0.3)
        plain = await scheduler.submit_task("a")
        with pytest.raises(ResultNotKeptError, match="result_ttl"):
            await scheduler.result(plain, timeout=5)
        for value in (1, 2):
            await serve_next(scheduler, value)
        assert await scheduler.result(kept) == 1
        await eventually(lambda: not schedulers.dump().timers, what="it is forgotten")
        for task_id in (kept, plain, "nobody:000000000001"):
            with pytest.raises(UnknownTaskError):
                await scheduler.result(task_id, timeout=5)
        assert not schedulers.dump().orders


async def test_waiting_for_a_result(schedulers: Schedulers) -> None:
    """Many wait, here and in another session; each is told once it is there. A timeout is a
    TimeoutError, after which it may still be done."""
    async with schedulers() as scheduler, schedulers(None) as other:
        task_id = await scheduler.submit_task("a", result_ttl=60)
        for timeout in (0, 0.02):
            with pytest.raises(TimeoutError):
                await other.result(task_id, timeout=timeout)
        waiting = [asyncio.create_task(s.result(task_id)) for s in (scheduler, other) * 3]
        await eventually(lambda: _asking(schedulers, task_id) == 2)
        await serve_next(other, [1])
        assert await asyncio.wait_for(asyncio.gather(*waiting), 5) == [[1]] * 6
        assert not scheduler._session.results._waiting  # type: ignore[union-attr]


async def test_a_task_that_is_cancelled_has_no_result(schedulers: Schedulers) -> None:
    """Who waits for it learns that at once."""
    async with schedulers() as scheduler, schedulers(None) as other:
        task_id = await scheduler.submit_task("a", result_ttl=60)
        waiting = asyncio.create_task(other.result(task_id))
        await eventually(lambda: _asking(schedulers, task_id) == 1)
        await scheduler.cancel_task(task_id)
        with pytest.raises(UnknownTaskError):
            await asyncio.wait_for(waiting, 5)


async def test_closing_ends_waiting_for_results(schedulers: Schedulers) -> None:
    """Nobody hangs when the scheduler is closed."""
    async with schedulers() as other:
        scheduler = schedulers(None)
        task_id = await scheduler.submit_task("a", result_ttl=60)
        waiting = asyncio.create_task(scheduler.result(task_id))
        await eventually(lambda: _asking(schedulers, task_id) == 1)
        await scheduler.aclose()
        with pytest.raises(ShutdownError):
            await asyncio.wait_for(waiting, 5)
        await other.cancel_task(task_id)


@pytest.mark.parametrize("bad", ["", 7, "x" * 600, "a\0b"])
async def test_a_bad_task_id_is_refused(schedulers: Schedulers, bad: object) -> None:
    """By a ValueError, or it is simply unknown."""
    async with schedulers() as scheduler:
        with pytest.raises((ValueError, UnknownTaskError)):
            await scheduler.result(bad, timeout=5)  # type: ignore[arg-type]


def _asking(schedulers: Schedulers, task_id: str) -> int:
    """Sessions that wait for this result."""
    return schedulers.dump().orders.get(b"w" + task_id.encode(), b"").count(b",")


async def test_a_result_that_thousands_wait_for(schedulers: Schedulers) -> None:
    """Who finds no room to be told asks again, each second."""
    async with schedulers() as scheduler:
        task_id = await scheduler.submit_task("a", result_ttl=60)
        crowd = b"".join(b"s%05d," % number for number in range(10_000))
        schedulers.server.client.hset("loco:{llm}:orders", f"w{task_id}", crowd)
        with pytest.raises(TimeoutError):
            await scheduler.result(task_id, timeout=0.05)
        waiting = asyncio.create_task(scheduler.result(task_id, timeout=20))
        await serve_next(scheduler, "for all")
        assert await waiting == "for all"
        assert _asking(schedulers, task_id) == 0
