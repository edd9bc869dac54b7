"""Connections that die without a word, that crawl, or that the given client has none left of."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter

import pytest
import redis.asyncio

from loco_redis import AsyncLOCOScheduler, Task, _inbox, _outbox
from tests.faults.conftest import Seen
from tests.faults.crowd import Crowd
from tests.proxy import proxied
from tests.schedulers import Schedulers
from tests.waiting import eventually

LEASE = 0.4
REPLY_TIMEOUT = 0.4  # instead of 5 s


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that brings nothing is given up after less than a second, instead of 5 to 20."""
    monkeypatch.setattr(_outbox, "REPLY_TIMEOUT", REPLY_TIMEOUT)
    monkeypatch.setattr(_inbox, "_SILENCE", 0.3)
    monkeypatch.setattr(_inbox, "_PONG_TIMEOUT", 0.2)


@pytest.mark.usefixtures("impatient")
async def test_half_open_connection_under_load(schedulers: Schedulers, seen: Seen) -> None:
    """All connections of two sessions die at once: all are made anew, no lease is lost."""
    dead, longest = 0, 0.0
    async with proxied(schedulers.server) as proxy:

        async def die() -> None:
            nonlocal dead, longest
            for _ in range(2):
                dead += proxy.half_open()
                began, done = time.monotonic(), len(crowd.tokens)
                await eventually(lambda done=done: len(crowd.tokens) > done + 12)
                longest = max(longest, time.monotonic() - began)

        # Patient callers: how soon they are served is what `longest` tells.
        options = {"redis": proxy.url, "lease_ttl": 2.0, "backend_timeout": 20.0}
        async with schedulers(2, **options) as one, schedulers(2, **options) as other:
            crowd = Crowd(2, one, other)
            await crowd.under(asyncio.create_task(die()))
            snapshot = await one.snapshot()
            assert snapshot.granted == snapshot.released == len(crowd.tokens)
            assert snapshot.reclaimed == 0
    assert longest < REPLY_TIMEOUT + 2.0
    seen(
        f"{dead} connections of 2 sessions half open, given up after {REPLY_TIMEOUT:g} s "
        "(instead of 5 s)",
        f"{crowd}; at work again after {longest:.2f} s",
    )


@pytest.mark.usefixtures("impatient")
async def test_half_open_connection_that_takes_no_more(schedulers: Schedulers, seen: Seen) -> None:
    """More is on its way than the buffers of the dead connection take: all of it is sent again."""
    tasks = [Task(payload=bytes([65 + index]) * 50_000) for index in range(60)]
    async with proxied(schedulers.server) as proxy:
        async with schedulers(redis=proxy.url, backend_timeout=10.0) as scheduler:
            submits: list[asyncio.Task[str]] = []
            proxy.half_open()
            began = time.monotonic()
            for task in tasks:
                submits.append(asyncio.create_task(scheduler.submit_task("a", task)))
                await asyncio.sleep(0)
            ids = await asyncio.gather(*submits)
            took = time.monotonic() - began
            assert len(set(ids)) == len(schedulers.dump().tasks) == len(tasks)
            for task in tasks:
                async with scheduler.acquire("a") as lease:
                    assert lease.task.payload == task.payload
    assert took < REPLY_TIMEOUT + 2.0
    seen(
        f"{len(tasks)} submits of 50 kB each into a half-open connection",
        f"each carried out once, after {took:.2f} s",
    )


@pytest.mark.usefixtures("impatient")
async def test_half_open_connection_that_comes_back(schedulers: Schedulers, seen: Seen) -> None:
    """What was sent by it reaches Redis long after the repeat has run: it changes nothing."""
    async with proxied(schedulers.server) as proxy:

        async def come_and_go() -> None:
            for _ in range(3):
                dead, done = proxy.half_open(), len(crowd.tokens)
                assert dead
                await eventually(lambda done=done: len(crowd.tokens) > done + 12)
                proxy.come_back()

        async with schedulers(2, redis=proxy.url, lease_ttl=2.0) as scheduler:
            crowd = Crowd(2, scheduler)
            proxy.kept = []
            await crowd.under(asyncio.create_task(come_and_go()))
            snapshot = await scheduler.snapshot()
            assert snapshot.granted == snapshot.released == len(crowd.tokens)
            assert snapshot.reclaimed == 0
            # An id comes by its acquire and by its release; more often by their repeats.
            ids = Counter(re.findall(rb"\w{16}:\d{12}", b"".join(proxy.kept)))
            late = sum(times - 2 for times in ids.values())
            assert late
    seen(
        f"3 outages after which what had been sent came late: {late} acquires and releases twice",
        str(crowd),
    )


async def test_half_open_connection_of_the_heartbeat(schedulers: Schedulers, seen: Seen) -> None:
    """Cut off for a whole lease, the holder is uncertain; unless reclaimed, it still holds."""
    async with proxied(schedulers.server) as proxy:
        async with schedulers(redis=proxy.url, lease_ttl=LEASE) as scheduler:
            async with scheduler.acquire("a") as lease:
                proxy.silent = True
                began = time.monotonic()
                await eventually(lambda: lease.uncertain)
                noticed = time.monotonic() - began
                assert "uncertain>" in repr(lease)
                assert not lease.lost
                proxy.silent = False
                proxy.cut()
                began = time.monotonic()
                # The lease clock stands still while no script runs.
                await eventually(lambda: not lease.uncertain)
                certain = time.monotonic() - began
                assert not lease.lost
    seen(
        f"every connection silent for a lease of {LEASE:g} s, then new ones",
        f"uncertain after {noticed:.2f} s, certain again {certain:.2f} s after the end; not lost",
    )


async def test_slow_reads_byte_by_byte(schedulers: Schedulers, seen: Seen) -> None:
    """Replies one byte at a time, requests by 64: everything is served, no lease is lost."""
    async with proxied(schedulers.server) as proxy:
        options = {"redis": proxy.url, "lease_ttl": 2.0, "backend_timeout": 20.0}
        async with schedulers(2, **options) as one, schedulers(2, **options) as other:
            proxy.request_pace, proxy.reply_pace = (64, 0.0005), (1, 0.0005)
            crowd = Crowd(2, one, other)
            await crowd.run(callers=4, bodies=3)
            proxy.request_pace = proxy.reply_pace = None
            snapshot = await one.snapshot()
            assert snapshot.granted == snapshot.released == 12
            assert snapshot.reclaimed == 0
    seen("replies byte by byte, requests by 64 bytes, every 0.5 ms", str(crowd))


async def test_slow_reads_of_hints(schedulers: Schedulers, seen: Seen) -> None:
    """A subscriber that reads too slowly is cut off by Redis, which drops what it had for it: the
    grant among that is found as soon as the client reads again."""
    client = schedulers.server.client
    client.config_set("client-output-buffer-limit", "pubsub 262144 0 0")
    try:
        async with proxied(schedulers.server) as proxy:
            async with schedulers(lease_ttl=30.0) as holder:
                async with schedulers(redis=proxy.url, lease_ttl=None) as waiting:
                    handle = await holder.acquire_start("h")
                    waiter = asyncio.create_task(waiting.acquire_start("w"))
                    await eventually(lambda: schedulers.waiting() == 1)
                    proxy.stall()
                    (channel,) = [
                        name
                        for name in client.pubsub_channels()
                        if str(waiting.session_id).encode() in name
                    ]
                    sent = 0
                    while client.publish(channel, b"x" * 10_000):
                        sent += 1
                    await holder.release_handle(handle)
                    proxy.flow()
                    began = time.monotonic()
                    await waiting.release_handle(await waiter)
                    took = time.monotonic() - began
    finally:
        client.config_set("client-output-buffer-limit", "pubsub 33554432 8388608 60")
    assert took < 2.0  # a heartbeat would take 7.5 s
    seen(
        f"a subscription cut off by Redis after {sent} unread messages of 10 kB",
        f"the grant among them found {took:.2f} s after the client had read on",
    )


async def test_exhausted_pool(schedulers: Schedulers, seen: Seen) -> None:
    """A client whose connections are all taken serves a scheduler, and goes on working."""
    client = redis.asyncio.Redis.from_url(schedulers.server.url, max_connections=2)
    taken = [await client.connection_pool.get_connection() for _ in range(2)]
    async with schedulers(redis=client, lease_ttl=LEASE) as scheduler:
        beats = await _hold_for_three_leases(scheduler)
        assert (await scheduler.snapshot()).reclaimed == 0
    for connection in taken:
        await client.connection_pool.release(connection)
    assert await client.ping()
    await client.aclose()
    seen("a client with both of its connections taken", f"{beats} heartbeats, no lease lost")


async def test_exhausted_pool_that_waits(schedulers: Schedulers, seen: Seen) -> None:
    """Of a pool that lets one wait for a free connection for ever, nothing is waited for."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        schedulers.server.url, max_connections=1, timeout=None
    )
    client = redis.asyncio.Redis.from_pool(pool)
    taken = await pool.get_connection()
    scheduler = schedulers(redis=client, lease_ttl=LEASE, backend_timeout=0.5)
    began = time.monotonic()
    async with asyncio.timeout(10):
        await scheduler.snapshot()
        opened = time.monotonic() - began
        async with scheduler.acquire("a"):
            pass
        await scheduler.aclose()
        took = time.monotonic() - began
    await pool.release(taken)
    await client.aclose()
    seen(
        "a client with a pool of 1 that lets one wait, its connection taken",
        f"opened after {opened:.2f} s, used and closed after {took:.2f} s",
    )


async def _hold_for_three_leases(scheduler: AsyncLOCOScheduler) -> int:
    """Returns how often the lease has been renewed."""
    renewed: set[float] = set()
    async with scheduler.acquire("a") as lease:
        until = time.monotonic() + 3 * LEASE

        def over() -> bool:
            renewed.add(lease._ledger.deadline)
            return time.monotonic() > until

        await eventually(over)
        assert not lease.lost
        assert not lease.uncertain
    return len(renewed) - 1
