"""A nested acquire of the same resource fails, shares or takes another; it never deadlocks."""

from __future__ import annotations

import asyncio

import pytest

from loco_redis import AsyncLOCOScheduler, LOCOScheduler, ReentrantAcquireError, SharedResource
from tests.schedulers import Schedulers


async def test_nested_acquire_fails_fast(schedulers: Schedulers) -> None:
    """By default the inner acquire raises, the outer lease is untouched."""
    async with schedulers(capacity=2) as scheduler, scheduler.acquire("a") as outer:
        with pytest.raises(ReentrantAcquireError, match="'llm'"):
            await scheduler.acquire_start("a")
        assert not outer.released
        assert schedulers.held() == 1


async def test_nested_acquire_shares(schedulers: Schedulers) -> None:
    """nested="share" yields the outer lease; leaving the inner block keeps it."""
    async with schedulers() as scheduler, scheduler.acquire("a") as outer:
        async with scheduler.acquire("b", nested="share") as inner:
            assert inner is outer
        handle = await scheduler.acquire_start("b", nested="share")
        await scheduler.release_handle(handle)
        assert not outer.released
        assert schedulers.held() == 1


async def test_nested_acquire_takes_another(schedulers: Schedulers) -> None:
    """nested="allow" asks for a second slot, and "share" then means the innermost."""
    async with schedulers(capacity=2) as scheduler, scheduler.acquire("a") as outer:
        async with scheduler.acquire("a", nested="allow") as inner:
            assert inner.slot != outer.slot
            async with scheduler.acquire("a", nested="share") as shared:
                assert shared is inner


async def test_child_tasks_inherit(schedulers: Schedulers) -> None:
    """A task made by the holder would wait for its parent, so it is told."""

    async def child() -> None:
        async with scheduler.acquire("child"):
            pytest.fail("the parent holds the only slot")

    async with schedulers() as scheduler, scheduler.acquire("parent"):
        with pytest.raises(ReentrantAcquireError):
            await asyncio.create_task(child())


async def test_released_lease_does_not_count(schedulers: Schedulers) -> None:
    """A child that outlives its parent's lease may acquire."""

    async def child() -> None:
        await released.wait()
        async with scheduler.acquire("child", timeout=5.0):
            pass

    released = asyncio.Event()
    async with schedulers() as scheduler:
        async with scheduler.acquire("parent"):
            task = asyncio.create_task(child())
        released.set()
        await task
        async with scheduler.acquire("again"):
            pass


async def test_two_schedulers_of_one_resource(schedulers: Schedulers) -> None:
    """What counts is the resource, not the object; another resource is no nesting."""
    async with schedulers() as one, schedulers() as two:
        other = AsyncLOCOScheduler([], SharedResource("gpu", 1), redis=schedulers.server.url)
        async with other, one.acquire("a"):
            with pytest.raises(ReentrantAcquireError):
                await two.acquire_start("a")
            async with other.acquire("a"):
                pass


async def test_handles_do_not_count(schedulers: Schedulers) -> None:
    """A handle may be released by anybody, so an acquire after it may well succeed."""
    async with schedulers(capacity=2) as scheduler:
        handle = await scheduler.acquire_start("a")
        async with scheduler.acquire("a"):
            pass
        await scheduler.release_handle(handle)


def test_threads_nest_alike(redis_url: str) -> None:
    """The blocking facade knows what its thread holds."""
    with LOCOScheduler([], SharedResource("llm", 2), redis=redis_url) as scheduler:
        with scheduler.acquire("a") as outer:
            with pytest.raises(ReentrantAcquireError), scheduler.acquire("a"):
                pass
            with scheduler.acquire("a", nested="share") as inner:
                assert inner is outer
            with scheduler.acquire("a", nested="allow") as second:
                assert second.slot != outer.slot
        with scheduler.acquire("a"):
            pass
