"""Servers whose library of functions is not there, or vanishes."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from loco_redis import BackendLibraryError, LeaseLostError
from loco_redis._presence import Presence
from loco_redis._replies import StoredConfig
from loco_redis._scripts import library
from tests.hardened import (
    FUNCTIONS,
    Hardened,
    any_hardened,
    any_hardened_schedulers,
    hardened,
    hardened_schedulers,
    work,
)
from tests.schedulers import Schedulers
from tests.waiting import eventually

__all__ = ["any_hardened", "any_hardened_schedulers", "hardened", "hardened_schedulers"]


async def test_a_missing_library_is_named(
    hardened: Hardened, hardened_schedulers: Schedulers
) -> None:
    """At once, with the command that loads it; after that the same scheduler opens."""
    scheduler = hardened_schedulers(redis=hardened.url, **FUNCTIONS)
    began = time.monotonic()
    with pytest.raises(BackendLibraryError, match="loco-redis functions load") as caught:
        await scheduler.acquire_start("a")
    assert time.monotonic() - began < 2.0
    assert caught.value.library == library().name
    assert library().version in str(caught.value)
    assert not hardened.client.keys("loco:*")
    hardened.load()
    await work(scheduler, "a")


async def test_flushed_functions_are_an_error_until_they_are_loaded_again(
    any_hardened: Hardened, any_hardened_schedulers: Schedulers
) -> None:
    """New calls and waiters are told, holders keep their slots, and what was released meanwhile is
    free as soon as the library is back."""
    any_hardened.load()
    options = {"redis": any_hardened.url, "lease_ttl": 0.6, **FUNCTIONS}
    async with any_hardened_schedulers(2, **options) as scheduler:
        for _ in range(3):
            kept = await scheduler.acquire_start("kept")
            ended = await scheduler.acquire_start("ended")
            waiter = asyncio.create_task(scheduler.acquire_start("waiter"))
            await eventually(lambda: any_hardened_schedulers.waiting() == 1)
            any_hardened.client.function_flush()
            with pytest.raises(BackendLibraryError):
                await scheduler.submit_task("a")
            with pytest.raises(BackendLibraryError):
                await scheduler.acquire_start("a", timeout=5.0)
            await scheduler.release_handle(ended)
            with pytest.raises(BackendLibraryError):
                await asyncio.wait_for(waiter, 5.0)
            assert (any_hardened_schedulers.held(), any_hardened_schedulers.waiting()) == (2, 1)
            any_hardened.load()
            await eventually(lambda: any_hardened_schedulers.held() == 1)
            await eventually(lambda: any_hardened_schedulers.waiting() == 0)
            assert not kept.lease.lost
            await asyncio.gather(*(work(scheduler, f"agent-{n}") for n in range(5)))
            await scheduler.release_handle(kept)


async def test_functions_flushed_under_load_lose_nothing(
    hardened: Hardened, hardened_schedulers: Schedulers
) -> None:
    """Each body runs alone in its slot and ends in Redis, however often the library vanishes."""
    hardened.load()
    runs = errors = inside = 0

    async def persist(agent: str) -> None:
        nonlocal runs, errors, inside
        for _ in range(15):
            while True:
                try:
                    async with scheduler.acquire(agent):
                        inside += 1
                        assert inside <= 2
                        await asyncio.sleep(0.002)
                        inside -= 1
                        runs += 1
                        break
                except BackendLibraryError:
                    errors += 1
                    await asyncio.sleep(0.01)

    async with hardened_schedulers(2, redis=hardened.url, lease_ttl=0.4, **FUNCTIONS) as scheduler:
        workers = asyncio.gather(*(persist(f"agent-{n}") for n in range(8)))
        for _ in range(6):
            await asyncio.sleep(0.03)
            hardened.client.function_flush()
            await asyncio.sleep(0.02)
            hardened.load()
        await workers
        await eventually(lambda: hardened_schedulers.held() == hardened_schedulers.waiting() == 0)
    assert (runs, inside) == (120, 0)
    assert errors > 0


async def test_an_empty_server_without_the_library(
    hardened: Hardened, hardened_schedulers: Schedulers
) -> None:
    """As after a restart without a file: an error, not a hang; then the session opens anew."""
    hardened.load()
    async with hardened_schedulers(redis=hardened.url, lease_ttl=0.4, **FUNCTIONS) as scheduler:
        lost = await scheduler.acquire_start("a")
        waiter = asyncio.create_task(scheduler.acquire_start("b"))
        await eventually(lambda: hardened_schedulers.waiting() == 1)
        hardened.client.flushall()
        hardened.client.function_flush()
        hardened.client.client_kill_filter(_type="normal", skipme=True)
        with pytest.raises(BackendLibraryError):
            await asyncio.wait_for(waiter, 5.0)
        with pytest.raises(BackendLibraryError):
            await scheduler.acquire_start("b", timeout=5.0)
        hardened.load()
        await eventually(lambda: lost.lease.lost)
        await work(scheduler, "b")
        with pytest.raises(LeaseLostError):
            await scheduler.release_handle(lost)


async def test_a_session_that_cannot_be_opened_again(
    hardened: Hardened, hardened_schedulers: Schedulers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library vanishes between the loss of the session and the next one."""
    hardened.load()
    restore = Presence.restore

    async def too_late(self: Presence, *args: Any) -> StoredConfig:
        hardened.client.function_flush()
        return await restore(self, *args)

    monkeypatch.setattr(Presence, "restore", too_late)
    async with hardened_schedulers(redis=hardened.url, lease_ttl=0.4, **FUNCTIONS) as scheduler:
        session = scheduler._session
        assert session is not None
        hardened.client.flushall()
        await eventually(lambda: not session.is_open)
        began = time.monotonic()
        with pytest.raises(BackendLibraryError):
            await scheduler.acquire_start("a")
        with pytest.raises(BackendLibraryError):
            await scheduler.submit_task("a")
        assert time.monotonic() - began < 2.0
        monkeypatch.undo()
        hardened.load()
        await eventually(lambda: session.is_open)
        await work(scheduler, "a")
