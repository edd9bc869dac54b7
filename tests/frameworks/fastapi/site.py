"""An app behind a real uvicorn on loopback, in the loop of the test, and clients of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import httpx
import pytest
import uvicorn

from loco_redis import AsyncLOCOScheduler
from tests.schedulers import Schedulers
from tests.waiting import eventually

HOST = "127.0.0.1"


class Connection:
    """A client that speaks bytes, so that it can go away at any moment."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int, limit: int = 2**16) -> Connection:
        return cls(*await asyncio.open_connection(HOST, port, limit=limit))

    async def get(self, path: str, agent: str = "analyst") -> None:
        await self.send(f"GET {path} HTTP/1.1\r\nhost: x\r\nx-loco-agent: {agent}\r\n\r\n".encode())

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def close(self) -> None:
        """At once, whatever has not been read."""
        self._writer.transport.abort()
        await asyncio.wait([asyncio.create_task(self._writer.wait_closed())])


class Site:
    """Attributes: scheduler; client, an httpx client of the app; port."""

    def __init__(self, scheduler: AsyncLOCOScheduler, schedulers: Schedulers, port: int) -> None:
        self.scheduler, self._schedulers, self.port = scheduler, schedulers, port
        self.client = httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=20)

    async def connect(self, limit: int = 2**16) -> Connection:
        return await Connection.open(self.port, limit)

    async def waiting(self, count: int) -> None:
        await eventually(lambda: self._schedulers.waiting() == count, what=f"{count} waiting")

    async def held(self, count: int) -> None:
        await eventually(lambda: self._schedulers.held() == count, what=f"{count} held")

    async def at_rest(self) -> None:
        """Nobody waits or holds, and the next request is served."""
        await self.waiting(0)
        await self.held(0)
        async with self.scheduler.acquire("next", timeout=5):
            pass


Made = Callable[[AsyncLOCOScheduler], Any]


class Sites:
    """Serves apps, each with a scheduler of its own resource's slots."""

    def __init__(self, schedulers: Schedulers) -> None:
        self.schedulers = schedulers

    @asynccontextmanager
    async def __call__(
        self, make: Made, capacity: int = 1, opened: bool = True, **options: Any
    ) -> AsyncIterator[Site]:
        scheduler = self.schedulers(capacity, **options)
        async with scheduler if opened else nullcontext(), serving(make(scheduler)) as port:
            site = Site(scheduler, self.schedulers, port)
            async with site.client:
                yield site


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    """The port."""
    config = uvicorn.Config(app, HOST, 0, log_level="warning", timeout_graceful_shutdown=5)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()  # and not serve(), which takes the signals and looks around every 0.1 s
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


@pytest.fixture
def sites(schedulers: Schedulers) -> Sites:
    return Sites(schedulers)
