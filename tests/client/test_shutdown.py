"""Ending a scheduler: gracefully by shutdown, at once by aclose."""

from __future__ import annotations

import asyncio
import time

import pytest

from loco_redis import BackendUnavailableError, LeaseLostError, ShutdownError
from tests.schedulers import Schedulers
from tests.waiting import eventually


async def test_shutdown_cancels_waiters_and_waits_for_holders(schedulers: Schedulers) -> None:
    """Own waiters get ShutdownError, holders finish; then there is no more work to be had."""
    async with schedulers() as scheduler:
        handle = await scheduler.acquire_start("holder")
        waiters = [asyncio.create_task(scheduler.acquire_start("w")) for _ in range(3)]
        await eventually(lambda: schedulers.waiting() == 3)
        ending = asyncio.create_task(scheduler.shutdown(timeout=30.0))
        for waiter in waiters:
            with pytest.raises(ShutdownError):
                await waiter
        assert not ending.done()
        for call in (scheduler.acquire_start("late"), scheduler.submit_task("late")):
            with pytest.raises(ShutdownError):
                await call
        await scheduler.release_handle(handle)
        assert await ending == {"cancelled_waiters": 3, "active_holders": 0}
        assert await scheduler.shutdown() == {"cancelled_waiters": 0, "active_holders": 0}
        assert (await scheduler.snapshot()).released == 1


async def test_shutdown_gives_up_on_holders(schedulers: Schedulers) -> None:
    """After the timeout it reports who still holds; they keep their leases until aclose()."""
    async with schedulers() as scheduler:
        handle = await scheduler.acquire_start("holder")
        report = await scheduler.shutdown(timeout=0.05)
        assert report == {"cancelled_waiters": 0, "active_holders": 1}
        assert not handle.lease.lost
        await scheduler.release_handle(handle)


async def test_shutdown_of_an_unused_scheduler(schedulers: Schedulers) -> None:
    """There is nothing to end, and nothing is connected for it."""
    scheduler = schedulers(redis="redis://127.0.0.1:1")
    assert await scheduler.shutdown() == {"cancelled_waiters": 0, "active_holders": 0}


async def test_aclose_ends_bodies_and_waiters(schedulers: Schedulers) -> None:
    """A body still running is cancelled by LeaseLostError, a waiter by ShutdownError."""
    scheduler = schedulers()
    holding = asyncio.Event()

    async def body() -> None:
        async with scheduler.acquire("holder"):
            holding.set()
            await asyncio.Event().wait()

    holder = asyncio.create_task(body())
    await holding.wait()
    waiter = asyncio.create_task(scheduler.acquire_start("waiter"))
    await eventually(lambda: schedulers.waiting() == 1)
    await scheduler.aclose()
    with pytest.raises(LeaseLostError, match="closed"):
        await holder
    with pytest.raises(ShutdownError):
        await waiter
    assert not schedulers.dump().sessions


async def test_body_that_closes_its_own_scheduler(schedulers: Schedulers) -> None:
    """It is not cancelled, but learns on leaving that its lease has gone."""
    scheduler = schedulers()
    with pytest.raises(LeaseLostError):  # noqa: PT012  the block under test is the body
        async with scheduler.acquire("a") as lease:
            await scheduler.aclose()
            assert lease.lost
            await asyncio.sleep(0)


async def test_waiters_elsewhere_are_served_by_closing(schedulers: Schedulers) -> None:
    """Closing frees the slots at once for others."""
    async with schedulers() as other:
        closing = schedulers()
        await closing.acquire_start("a")
        waiter = asyncio.create_task(other.acquire_start("b"))
        await eventually(lambda: schedulers.waiting() == 1)
        await closing.aclose()
        await other.release_handle(await waiter)


async def test_many_waiters_close_quickly(schedulers: Schedulers) -> None:
    """Closing with thousands of waiters withdraws them in bounded steps."""
    scheduler = schedulers()
    await scheduler.acquire_start("holder")
    waiters = [asyncio.create_task(scheduler.acquire_start("w")) for _ in range(2500)]
    await eventually(lambda: schedulers.waiting() == 2500, timeout=30)
    await scheduler.aclose()
    results = await asyncio.gather(*waiters, return_exceptions=True)
    assert {type(result) for result in results} == {ShutdownError}


async def test_settling_after_closing(schedulers: Schedulers) -> None:
    """It fails at once, instead of waiting for a Redis that nobody talks to."""
    scheduler = schedulers()
    handle = await scheduler.acquire_start("a")
    await scheduler.aclose()
    with pytest.raises(BackendUnavailableError, match="the scheduler was closed"):
        async with asyncio.timeout(1):
            await handle.lease.settle(1.0)


async def test_the_end_of_a_loop(schedulers: Schedulers) -> None:
    """`asyncio.run` cancels all tasks, ours as well: a with-block that is left by that gives back
    its slot and its session all the same, and at once."""
    entered: list[float] = []

    async def work() -> None:
        async with schedulers() as scheduler, scheduler.acquire("a"):
            entered.append(time.monotonic())
            await asyncio.Event().wait()

    async def main() -> None:
        _tasks.append(asyncio.create_task(work()))
        await eventually(lambda: entered)

    _tasks: list[asyncio.Task[None]] = []
    await asyncio.to_thread(asyncio.run, main())
    assert time.monotonic() - entered[0] < 1.5
    assert _tasks[0].cancelled()
    assert schedulers.dump().sessions == {}
