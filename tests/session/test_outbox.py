"""The outbox: replies that are lost, servers that refuse for a while, scripts that are gone."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator

import pytest

from loco_redis import (
    AcquireTimeoutError,
    AsyncLOCOScheduler,
    BackendError,
    BackendMemoryError,
    BackendUnavailableError,
    SharedResource,
)
from loco_redis._scripts import Scripts
from tests.proxy import proxied
from tests.schedulers import Schedulers
from tests.servers import BINARIES, DEFAULT, EmbeddedServer, Server
from tests.waiting import eventually

import redis  # isort: skip

SHA = Scripts("llm").sha


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server of the test's own, which it may stop, fill or starve."""
    with EmbeddedServer.start(BINARIES[DEFAULT]) as process:
        client = redis.Redis.from_url(process.url)
        yield Server("own", process, client)
        client.close()


async def test_lost_replies_are_asked_for_again(schedulers: Schedulers) -> None:
    """Each verb is carried out once although its reply is lost and it is sent again."""
    async with proxied(schedulers.server) as proxy:
        async with schedulers(redis=proxy.url) as scheduler:
            for verb in ("submit", "acquire", "settle", "release", "reconfigure", "cancel_task"):
                proxy.lose_reply_of(SHA(verb), times=2)
            task_id = await scheduler.submit_task("durable")
            assert list(schedulers.dump().tasks) == [task_id.encode()]
            async with scheduler.acquire("a", weight=3.0) as lease:
                await lease.settle(2.0)
            assert await scheduler.reconfigure(capacity=2) == 2
            await scheduler.cancel_task(task_id)
            snapshot = await scheduler.snapshot()
            assert (snapshot.granted, snapshot.released, snapshot.tick) == (1, 1, 1)
            assert await scheduler.metrics.cost_by_agent() == {"a": 2.0}
            assert proxy.lost == 12


async def test_commands_in_the_turn_in_which_the_connection_ends(schedulers: Schedulers) -> None:
    """They wait for the next one."""
    async with schedulers(2) as scheduler:
        for _ in range(3):
            handle = await scheduler.acquire_start("a")
            assert scheduler._session is not None
            direct = scheduler._session.outbox._direct
            assert direct is not None
            direct.abort()
            await asyncio.sleep(0)
            release = asyncio.ensure_future(scheduler.release_handle(handle))
            async with scheduler.acquire("b"):
                await release


async def test_grant_in_a_lost_reply_is_found(schedulers: Schedulers) -> None:
    """A release whose reply carried a grant to another own request: that one is served."""
    async with proxied(schedulers.server) as proxy:
        async with schedulers(redis=proxy.url) as scheduler:
            handle = await scheduler.acquire_start("a")
            waiter = asyncio.create_task(scheduler.acquire_start("b"))
            await eventually(lambda: schedulers.waiting() == 1)
            proxy.lose_reply_of(SHA("release"))
            await scheduler.release_handle(handle)
            await scheduler.release_handle(await waiter)


async def test_repeated_commands_run_once(schedulers: Schedulers) -> None:
    """A duplicate that the network makes changes nothing, also after a cancellation."""
    async with proxied(schedulers.server) as proxy:
        async with schedulers(redis=proxy.url) as scheduler:
            for verb in ("acquire", "release", "submit", "cancel"):
                proxy.repeat(SHA(verb))
            handle = await scheduler.acquire_start("a")
            with pytest.raises(AcquireTimeoutError):
                await scheduler.acquire_start("b", timeout=0)
            await scheduler.release_handle(handle)
            await scheduler.cancel_task(await scheduler.submit_task("c"))
            snapshot = await scheduler.snapshot()
            assert (snapshot.released, snapshot.holders, snapshot.dead_tasks) == (1, (), 0)


async def test_work_goes_on_while_connections_are_cut(schedulers: Schedulers) -> None:
    """100 bodies of 10 tasks each run once under 20 broken connections."""
    runs = 0

    async def work(agent: str) -> None:
        nonlocal runs
        for _ in range(10):
            async with scheduler.acquire(agent):
                runs += 1
                await asyncio.sleep(0.001)

    async with proxied(schedulers.server) as proxy:
        async with schedulers(capacity=3, redis=proxy.url) as scheduler:
            workers = asyncio.gather(*(work(f"agent-{i}") for i in range(10)))
            for _ in range(20):
                await asyncio.sleep(0.01)
                proxy.cut()
            await workers
            snapshot = await scheduler.snapshot()
    assert runs == snapshot.released == snapshot.granted == 100


async def test_script_flush_is_invisible(any_schedulers: Schedulers) -> None:
    """Scripts that vanish a hundred times a second are loaded again, the heartbeat's too."""
    client = any_schedulers.server.client
    async with any_schedulers(capacity=2, lease_ttl=0.4) as scheduler:

        async def work(agent: str) -> None:
            for _ in range(20):
                async with scheduler.acquire(agent):
                    await asyncio.sleep(0.002)

        workers = asyncio.gather(*(work(f"agent-{i}") for i in range(8)))
        while not workers.done():
            client.script_flush()
            await asyncio.sleep(0.01)
        await workers
        assert (await scheduler.snapshot()).released == 160


async def test_stopped_server_is_waited_for_until_the_deadline(own_server: Server) -> None:
    """Calls end by BackendUnavailableError in time; what they left is withdrawn later."""
    schedulers = Schedulers(own_server)
    scheduler = schedulers(backend_timeout=0.4, lease_ttl=30.0)
    async with scheduler:
        os.kill(own_server.process.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(BackendUnavailableError):
                await scheduler.acquire_start("a")
            with pytest.raises(BackendUnavailableError):
                await scheduler.submit_task("a")
            with pytest.raises((AcquireTimeoutError, BackendUnavailableError)):
                await scheduler.acquire_start("a", timeout=0.1)
            assert time.monotonic() - began < 2.0
        finally:
            os.kill(own_server.process.pid, signal.SIGCONT)
        await eventually(lambda: schedulers.held() == schedulers.waiting() == 0)
        await scheduler.release_handle(await scheduler.acquire_start("a", timeout=5.0))
    schedulers.at_rest = False  # whether the submit ran is unknown, as its error said
    await schedulers.aclose()


async def test_busy_server_is_waited_for(own_server: Server) -> None:
    """A long script of somebody else delays a call; it is never killed."""
    own_server.client.config_set("lua-time-limit", 20)
    schedulers = Schedulers(own_server)
    async with schedulers() as scheduler:
        loop = (
            "local s=redis.call('TIME') repeat local n=redis.call('TIME') "
            "until (n[1]-s[1])*1e6+n[2]-s[2] > 600000 return 'ended by itself'"
        )
        busy = asyncio.create_task(asyncio.to_thread(own_server.client.eval, loop, 0))
        await asyncio.sleep(0.1)
        async with scheduler.acquire("a"):
            assert busy.done()
        assert await busy == b"ended by itself"
    await schedulers.aclose()


async def test_full_server(own_server: Server) -> None:
    """acquire and submit get a typed error and leave nothing; leases are kept and released."""
    schedulers = Schedulers(own_server)
    async with schedulers(lease_ttl=0.4) as scheduler:
        handle = await scheduler.acquire_start("a", weight=2.0)
        waiter = asyncio.create_task(scheduler.acquire_start("b"))
        await eventually(lambda: schedulers.waiting() == 1)
        own_server.client.config_set("maxmemory-policy", "noeviction")
        own_server.client.config_set("maxmemory", 1)
        for call in (scheduler.acquire_start("c"), scheduler.submit_task("c")):
            with pytest.raises(BackendMemoryError):
                await call
        ledger = handle.lease._ledger
        full_at = ledger.deadline
        await eventually(lambda: ledger.deadline > full_at + 0.4)  # heartbeats get through
        assert not handle.lease.lost
        assert schedulers.waiting() == 1
        await scheduler.release_handle(handle)
        await scheduler.release_handle(await waiter)
        assert await scheduler.metrics.cost_by_agent() == {"a": 2.0, "b": 1.0}
        own_server.client.config_set("maxmemory", 0)
        await scheduler.release_handle(await scheduler.acquire_start("c"))
    await schedulers.aclose()


async def test_read_only_server_is_waited_for(own_server: Server) -> None:
    """A replica refuses writes; once it is promoted the same request goes on."""
    schedulers = Schedulers(own_server)
    async with schedulers() as scheduler:
        own_server.client.execute_command("REPLICAOF", "127.0.0.1", "1")
        waiter = asyncio.create_task(scheduler.acquire_start("a", timeout=5.0))
        outbox = scheduler._session.outbox  # type: ignore[union-attr]
        await eventually(lambda: outbox.failure is not None)
        assert not waiter.done()
        own_server.client.execute_command("REPLICAOF", "NO", "ONE")
        handle = await waiter
        await scheduler.release_handle(handle)
        assert (await scheduler.snapshot()).granted == 1
    await schedulers.aclose()


async def test_release_goes_on_after_its_caller(own_server: Server) -> None:
    """A release that gets no answer within backend_timeout is not an error; it goes out later."""
    schedulers = Schedulers(own_server)
    async with schedulers(backend_timeout=0.2, lease_ttl=30.0) as scheduler:
        async with scheduler.acquire("a"):
            os.kill(own_server.process.pid, signal.SIGSTOP)
        os.kill(own_server.process.pid, signal.SIGCONT)
        await eventually(lambda: schedulers.held() == 0)
    await schedulers.aclose()


async def test_refusal_is_told(schedulers: Schedulers) -> None:
    """An error that trying again cannot mend, such as a missing permission, is a BackendError."""
    client = schedulers.server.client
    client.acl_setuser("few", enabled=True, nopass=True, keys=["*"], commands=["+evalsha"])
    url = schedulers.server.url.replace("unix://", "unix://few:x@")
    scheduler = schedulers(redis=url, backend_timeout=0.3)
    try:
        with pytest.raises(BackendError, match="permission"):
            await scheduler.snapshot()
    finally:
        await scheduler.aclose()
        client.acl_deluser("few")


async def test_closing_while_redis_is_away_is_bounded(own_server: Server) -> None:
    """The session is left to expire; aclose() does not hang."""
    scheduler = AsyncLOCOScheduler([], SharedResource("llm", 1), redis=own_server.url)
    await scheduler.acquire_start("a")
    own_server.process.stop()
    async with asyncio.timeout(15):
        await scheduler.aclose()
