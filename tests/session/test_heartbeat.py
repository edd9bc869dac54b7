"""The heartbeat: it outlives a busy loop, up to a point, and failures of its connection."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest
import redis

from loco_redis import AsyncLOCOScheduler, Lease, LeaseLostError, LOCOScheduler, SharedResource
from loco_redis._endpoint import Endpoint
from loco_redis._heartbeat import Heartbeat
from loco_redis._ledger import Ledger
from loco_redis._scripts import Scripts
from tests.proxy import proxied
from tests.schedulers import Schedulers
from tests.waiting import eventually, wait_until

LEASE = 0.4


async def test_blocked_loop_keeps_its_lease(schedulers: Schedulers) -> None:
    """A body that blocks the event loop for three leases still holds its slot."""
    async with schedulers(lease_ttl=LEASE) as scheduler:
        async with scheduler.acquire("a") as lease:
            time.sleep(3 * LEASE)  # noqa: ASYNC251  what is tested
            assert schedulers.held() == 1
            assert not lease.uncertain
            await asyncio.sleep(0)
            assert not lease.lost
        assert schedulers.dump().vars[b"reclaimed"] == b"0"


async def test_computing_loop_keeps_its_lease(schedulers: Schedulers) -> None:
    """So does one that never lets go of the interpreter for long."""
    async with schedulers(lease_ttl=LEASE) as scheduler:
        async with scheduler.acquire("a") as lease:
            until = time.monotonic() + 3 * LEASE
            while time.monotonic() < until:
                sum(range(1000))
            await asyncio.sleep(0)
            assert not lease.lost


async def test_stalled_loop_loses_its_lease(
    schedulers: Schedulers, caplog: pytest.LogCaptureFixture
) -> None:
    """Past max_stall the heartbeat stops, says so once, and others get the slot."""
    adopting = SharedResource("llm")
    async with schedulers(lease_ttl=LEASE, max_stall=0.2) as scheduler:
        with LOCOScheduler([], adopting, redis=schedulers.server.url) as other:
            with pytest.raises(LeaseLostError):  # noqa: PT012  the block under test is the body
                async with scheduler.acquire("a") as lease:
                    # Blocks the loop until the other, in a thread of its own, has the slot.
                    with other.acquire("b", timeout=10.0, nested="allow") as theirs:
                        assert theirs.token > lease.token
                    await asyncio.Event().wait()
        assert caplog.text.count("longer than max_stall") == 1
        async with scheduler.acquire("a", timeout=5.0):
            pass


async def test_failing_beats_are_tried_again(schedulers: Schedulers) -> None:
    """Connections that break all the time do not cost the lease."""
    async with proxied(schedulers.server) as proxy:
        async with schedulers(redis=proxy.url, lease_ttl=1.0) as scheduler:
            async with scheduler.acquire("a") as lease:
                for _ in range(30):
                    await asyncio.sleep(0.1)
                    proxy.cut()
                assert not any([lease.lost, lease.uncertain])


def test_a_connection_that_does_not_come_leaves_time_for_another() -> None:
    """A full backlog drops the packets of a new connection, as a network that was cut does: a beat
    waits for it no longer than for a reply, a quarter of the lease."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        endpoint = Endpoint.parse(f"redis://127.0.0.1:{address[1]}/0")
        beat = Heartbeat(endpoint, Scripts("llm"), 0.8, 60.0, lambda ledger, reply: None)
        began = time.monotonic()
        with pytest.raises(redis.TimeoutError):
            beat._call(Ledger())
        assert time.monotonic() - began < 0.4
        for one in waiting:
            one.close()


async def test_silence_makes_uncertain_and_recovers(schedulers: Schedulers) -> None:
    """Cut off for a whole lease, the holder is uncertain; unless reclaimed, it still holds."""
    async with proxied(schedulers.server) as proxy:
        async with schedulers(redis=proxy.url, lease_ttl=LEASE) as scheduler:
            async with scheduler.acquire("a") as lease:
                proxy.silent = True
                await eventually(lambda: lease.uncertain)
                assert "uncertain>" in repr(lease)
                assert not lease.lost
                proxy.silent = False
                proxy.cut()
                # The lease clock stands still while no script runs.
                await eventually(lambda: not lease.uncertain)
                assert not lease.lost


async def test_strict_cancels_when_uncertain(schedulers: Schedulers) -> None:
    """strict=True ends the body at its local deadline, before Redis has said anything."""
    async with proxied(schedulers.server) as proxy:
        async with schedulers(redis=proxy.url, lease_ttl=LEASE, strict=True) as scheduler:
            with pytest.raises(LeaseLostError, match="no heartbeat"):  # noqa: PT012
                async with scheduler.acquire("a"):
                    proxy.silent = True
                    began = time.monotonic()
                    try:
                        await asyncio.Event().wait()
                    finally:
                        assert LEASE / 2 < time.monotonic() - began < 3 * LEASE
                        proxy.silent = False
                        proxy.cut()
            await eventually(lambda: schedulers.held() == 0)


async def test_strict_begins_no_body_late(schedulers: Schedulers) -> None:
    """A lease that becomes uncertain between its grant and its body is refused."""
    async with proxied(schedulers.server) as proxy:

        async def cut_off(lease: Lease) -> None:
            proxy.silent = True
            await eventually(lambda: lease.uncertain)

        async with schedulers(
            redis=proxy.url, lease_ttl=LEASE, strict=True, on_task_started=cut_off
        ) as scheduler:
            with pytest.raises(LeaseLostError):
                async with scheduler.acquire("a"):
                    pytest.fail("the body has begun")
            proxy.silent = False
            proxy.cut()
            await eventually(lambda: schedulers.held() == 0)


def test_thread_ends_with_its_loop(redis_url: str) -> None:
    """A loop that was closed without aclose() leaves no heartbeat behind."""

    async def leave() -> None:
        scheduler = AsyncLOCOScheduler(
            [], SharedResource("forgotten", 1), redis=redis_url, lease_ttl=0.2
        )
        await scheduler.acquire_start("a")

    asyncio.run(leave())
    wait_until(lambda: "forgotten" not in str(threading.enumerate()))
