"""The heartbeat: it outlives failures of its connection."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import AsyncExitStack

import pytest
import redis

from loco_redis import AsyncLOCOScheduler, Lease, LeaseLostError, SharedResource
from loco_redis._endpoint import Endpoint
from loco_redis._heartbeat import Heartbeat
from loco_redis._ledger import Ledger
from loco_redis._scripts import Scripts
from tests.clusters import as_cluster, cluster_node
from tests.proxy import Proxy, proxied
from tests.schedulers import Schedulers
from tests.waiting import eventually, wait_until

LEASE = 0.4


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
            beat._call(beat._command(Ledger()))
        assert time.monotonic() - began < 0.4
        for one in waiting:
            one.close()


@pytest.mark.parametrize("clustered", [False, True], ids=["single", "cluster"])
async def test_a_beat_that_failed_is_sent_again_by_another_connection(
    schedulers: Schedulers, clustered: bool
) -> None:
    """One that fell silent while the server was busy would cost a quarter of the lease more."""
    async with AsyncExitStack() as stack:
        if clustered:
            node = stack.enter_context(cluster_node())
            proxy = await stack.enter_async_context(proxied(node, tcp=True))
            announced = proxy.url.rpartition(":")[2].removesuffix("/0")
            with redis.Redis.from_url(node.url) as client:
                client.config_set("cluster-announce-port", announced)
            url = as_cluster(proxy.url)
        else:
            proxy = await stack.enter_async_context(proxied(schedulers.server))
            url = proxy.url
        await _beats_by_another_connection(schedulers(redis=url, lease_ttl=4.0), proxy)


async def _beats_by_another_connection(scheduler: AsyncLOCOScheduler, proxy: Proxy) -> None:
    async with scheduler:
        session = await scheduler._connected()
        heard = session.ledger.deadline
        proxy.spoil_reply_of(session.scripts.sha("heartbeat"), lambda _: b"-BUSY\r\n")
        await eventually(lambda: proxy.spoiled)
        assert proxy.half_open()
        await eventually(lambda: session.ledger.deadline > heard)
        assert session.ledger.deadline - heard < 4.0 / 4 + 0.6


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
