"""The outbox: connections that end, callers that leave, users without rights."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from loco_redis import (
    AsyncLOCOScheduler,
    BackendPermissionError,
    SharedResource,
)
from tests.schedulers import Schedulers
from tests.servers import BINARIES, DEFAULT, EmbeddedServer, Server
from tests.waiting import eventually

import redis  # isort: skip


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server of the test's own, which it may stop."""
    with EmbeddedServer.start(BINARIES[DEFAULT]) as process:
        client = redis.Redis.from_url(process.url)
        yield Server("own", process, client)
        client.close()


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
    """An error that trying again cannot mend, such as a missing right, is raised at once."""
    client = schedulers.server.client
    client.acl_setuser("few", enabled=True, nopass=True, keys=["*"], commands=["+evalsha"])
    url = schedulers.server.url.replace("unix://", "unix://few:x@")
    scheduler = schedulers(redis=url, backend_timeout=0.3)
    try:
        with pytest.raises(BackendPermissionError, match="EVAL"):
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
