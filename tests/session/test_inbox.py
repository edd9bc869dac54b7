"""The inbox: hints that get lost are found by other ways."""

from __future__ import annotations

import asyncio

import pytest

from loco_redis._keys import Keys
from tests.proxy import proxied
from tests.schedulers import NAME, Schedulers
from tests.waiting import eventually


async def test_a_grant_that_comes_after_the_lease_is_not_begun(schedulers: Schedulers) -> None:
    """A hint that was on its way during an outage may be of a session that has expired since: its
    slot is somebody else's. The waiter asks again instead of running beside them."""
    async with proxied(schedulers.server) as proxy:
        async with schedulers(lease_ttl=0.4) as holder:
            async with schedulers(redis=proxy.url, lease_ttl=None) as waiting:
                first = await holder.acquire_start("h")
                waiter = asyncio.create_task(waiting.acquire_start("w"))
                await eventually(lambda: schedulers.waiting() == 1)
                proxy.stall()
                await holder.release_handle(first)  # granted to the waiter, which does not hear it
                second = await holder.acquire_start("h")  # reclaimed from it
                proxy.flow(replies_only=True)
                done, _ = await asyncio.wait({waiter}, timeout=0.2)
                assert not done
                proxy.flow()
                await eventually(lambda: schedulers.waiting() == 1)
                await holder.release_handle(second)
                served = await waiter
                assert served.lease.token > second.lease.token
                await waiting.release_handle(served)


async def test_user_who_may_not_subscribe_is_served(
    schedulers: Schedulers, caplog: pytest.LogCaptureFixture
) -> None:
    """It is warned once, with the right that it lacks, and served by heartbeats."""
    client = schedulers.server.client
    rules = ("on", "nopass", "allkeys", "allchannels", "+@all", "-subscribe")
    client.execute_command("ACL", "SETUSER", "deaf", "reset", *rules)
    url = schedulers.server.url.replace("unix://", "unix://deaf:x@")
    try:
        async with schedulers(lease_ttl=0.8) as holder:
            async with schedulers(redis=url, lease_ttl=None, backend_timeout=60.0) as waiting:
                assert caplog.text.count("grants will be noticed late") == 1
                assert "+subscribe" in caplog.text
                handle = await holder.acquire_start("h")
                waiter = asyncio.create_task(waiting.acquire_start("w"))
                await eventually(lambda: schedulers.waiting() == 1)
                await holder.release_handle(handle)
                await waiting.release_handle(await waiter)
    finally:
        client.acl_deluser("deaf")


async def test_false_hints_are_ignored(schedulers: Schedulers) -> None:
    """Neither garbage nor a grant that nobody asked for does any harm."""
    async with schedulers() as scheduler:
        channel = Keys(NAME).channel + str(scheduler.session_id).encode()
        for text in (b"", b"garbage", b"\xff|\xfe", b"999|0|1|1000|1|0|0.5|0|", b"1|2|3"):
            assert schedulers.server.client.publish(channel, text) == 1
        async with scheduler.acquire("a", timeout=5.0) as lease:
            assert lease.token > 1000
        assert schedulers.server.client.publish(channel, b"x") == 1
