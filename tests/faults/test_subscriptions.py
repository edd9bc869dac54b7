"""Hints that do not come: the heartbeat finds their grants, the subscription is renewed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from loco_redis import AsyncLOCOScheduler, _inbox
from tests.faults.conftest import Seen
from tests.faults.crowd import Crowd
from tests.proxy import proxied
from tests.schedulers import Schedulers
from tests.waiting import eventually

LEASE = 1.2


async def test_blackholed_subscription_that_was_killed(schedulers: Schedulers, seen: Seen) -> None:
    """A waiter whose subscription ended just before its grant is served at once: on subscribing
    again the session polls."""
    client, waits = schedulers.server.client, []
    async with schedulers(lease_ttl=30.0) as holder, schedulers(lease_ttl=None) as waiting:
        for _ in range(10):
            waits.append(
                await _handed_over(
                    schedulers, holder, waiting, lambda: client.client_kill_filter(_type="pubsub")
                )
            )
    assert max(waits) < 2.0  # a heartbeat would take 7.5 s
    seen(f"{len(waits)} subscriptions killed before a grant", f"longest wait {max(waits):.2f} s")


async def test_blackholed_subscription_is_made_up_for_by_the_heartbeat(
    schedulers: Schedulers, seen: Seen
) -> None:
    """With a subscription that looks alive but brings nothing, a grant is found within a beat."""
    waits = []
    async with proxied(schedulers.server) as proxy:
        proxy.mute = b"SUBSCRIBE"
        async with schedulers(lease_ttl=LEASE) as holder:
            async with schedulers(redis=proxy.url, lease_ttl=None) as waiting:
                for _ in range(4):
                    waits.append(await _handed_over(schedulers, holder, waiting))
    assert max(waits) < LEASE / 4 + 1.0
    seen(
        f"{len(waits)} hints that never came, heartbeats each {LEASE / 4:g} s",
        f"longest wait {max(waits):.2f} s",
    )


async def test_blackholed_subscription_is_renewed(
    schedulers: Schedulers, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that does not even bring a PONG is given up; by the next the hints come again."""
    monkeypatch.setattr(_inbox, "_SILENCE", 0.3)
    monkeypatch.setattr(_inbox, "_PONG_TIMEOUT", 0.2)
    async with proxied(schedulers.server) as proxy:
        proxy.mute = b"SUBSCRIBE"
        async with schedulers(lease_ttl=30.0) as holder:
            async with schedulers(redis=proxy.url, lease_ttl=None) as waiting:
                known = _subscribers(schedulers)
                proxy.mute, began = None, time.monotonic()
                await eventually(lambda: _subscribers(schedulers) - known)
                renewed = time.monotonic() - began
                wait = await _handed_over(schedulers, holder, waiting)
    assert wait < 2.0  # a heartbeat would take 7.5 s
    seen(
        "a subscription that brings nothing, tried with PING after 0.3 s (instead of 15 s)",
        f"renewed after {renewed:.2f} s; the next hint came within {wait:.3f} s",
    )


async def test_blackholed_subscription_under_load(any_schedulers: Schedulers, seen: Seen) -> None:
    """Two sessions without any hints share two slots: everybody is served, none waits for long."""
    schedulers = any_schedulers
    async with proxied(schedulers.server) as proxy:
        proxy.mute = b"SUBSCRIBE"
        options = {"redis": proxy.url, "lease_ttl": 0.4}
        async with schedulers(2, **options) as one, schedulers(2, **options) as other:
            crowd = Crowd(2, one, other)
            await crowd.run(callers=6, bodies=4)
            snapshot = await one.snapshot()
            assert snapshot.granted == snapshot.released == 24
            assert snapshot.reclaimed == 0
    seen("no hints for 2 sessions with heartbeats each 0.1 s", str(crowd))


def _subscribers(schedulers: Schedulers) -> set[str]:
    return {row["id"] for row in schedulers.server.client.client_list(_type="pubsub")}


async def _handed_over(
    schedulers: Schedulers,
    holder: AsyncLOCOScheduler,
    waiting: AsyncLOCOScheduler,
    before: Callable[[], object] = lambda: None,
) -> float:
    """`waiting` gets the slot that `holder` releases; returns the seconds that took."""
    handle = await holder.acquire_start("h")
    waiter = asyncio.create_task(waiting.acquire_start("w"))
    await eventually(lambda: schedulers.waiting() == 1)
    before()
    began = time.monotonic()
    await holder.release_handle(handle)
    served = await waiter
    took = time.monotonic() - began
    await waiting.release_handle(served)
    return took
