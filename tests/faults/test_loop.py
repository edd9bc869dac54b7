"""Event loops that do not turn: the heartbeat has a thread of its own."""

from __future__ import annotations

import asyncio
import time

import pytest

from loco_redis import LeaseLostError, LOCOScheduler, SharedResource
from tests.faults.conftest import Seen
from tests.schedulers import Schedulers

LEASE = 0.4


async def test_blocked_loop_keeps_its_lease(schedulers: Schedulers, seen: Seen) -> None:
    """A body that blocks the event loop for three leases still holds its slot."""
    async with schedulers(lease_ttl=LEASE) as scheduler:
        async with scheduler.acquire("a") as lease:
            began = time.monotonic()
            time.sleep(3 * LEASE)  # noqa: ASYNC251  what is tested
            blocked = time.monotonic() - began
            assert schedulers.held() == 1
            assert not lease.uncertain
            await asyncio.sleep(0)
            assert not lease.lost
        reclaimed = schedulers.dump().number("reclaimed")
        assert reclaimed == 0
    seen(
        f"a body that slept in the loop for {blocked:.2f} s (lease {LEASE:g} s)",
        f"kept its lease; {reclaimed} reclaimed",
    )


async def test_blocked_loop_that_computes(schedulers: Schedulers, seen: Seen) -> None:
    """So does one that never lets go of the interpreter for long."""
    async with schedulers(lease_ttl=LEASE) as scheduler:
        async with scheduler.acquire("a") as lease:
            began = time.monotonic()
            while time.monotonic() < began + 3 * LEASE:
                sum(range(1000))
            await asyncio.sleep(0)
            assert not lease.lost
        reclaimed = schedulers.dump().number("reclaimed")
        assert reclaimed == 0
    seen(f"a body that computed for {3 * LEASE:g} s", f"kept its lease; {reclaimed} reclaimed")


async def test_blocked_loop_beyond_max_stall(
    schedulers: Schedulers, caplog: pytest.LogCaptureFixture, seen: Seen
) -> None:
    """Past max_stall the heartbeat stops, says so once, and others get the slot."""
    adopting = SharedResource("llm")
    async with schedulers(lease_ttl=LEASE, max_stall=0.2) as scheduler:
        with LOCOScheduler([], adopting, redis=schedulers.server.url) as other:
            with pytest.raises(LeaseLostError):  # noqa: PT012  the block under test is the body
                async with scheduler.acquire("a") as lease:
                    began = time.monotonic()
                    # Blocks the loop until the other, in a thread of its own, has the slot.
                    with other.acquire("b", timeout=10.0, nested="allow") as theirs:
                        assert theirs.token > lease.token
                        took = time.monotonic() - began
                    await asyncio.Event().wait()
        assert caplog.text.count("longer than max_stall") == 1
        assert took > 0.2
        async with scheduler.acquire("a", timeout=5.0):
            pass
    seen(
        f"a loop blocked until another had its slot (lease {LEASE:g} s, max_stall 0.2 s)",
        f"given on after {took:.2f} s, one warning; it was told, and went on afterwards",
    )
