"""How often does an uncontended acquire + release wait for Redis? Counted by a proxy in between.

A round trip is a change of direction on a connection: bytes to the server after bytes from it (or
as the first). What goes out as one pipeline is one round trip, a heartbeat would be another.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from benchmarks import server
from benchmarks.figure import Figure, Must
from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis._server import EmbeddedServer


class CountingProxy:
    """Passes TCP on to the server at `upstream` (host, port) and counts round trips.

    Attributes:
        round_trips: over all connections.
        url: where the proxy listens.
    """

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self._pumps: set[asyncio.Task[None]] = set()
        self.round_trips = 0
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def running(cls, upstream: tuple[str, int]) -> AsyncIterator[CountingProxy]:
        proxy = cls(upstream)
        listener = await asyncio.start_server(proxy._accept, "127.0.0.1", 0)
        host, port = listener.sockets[0].getsockname()
        proxy.url = f"redis://{host}:{port}/0"
        try:
            yield proxy
        finally:
            listener.close()
            for pump in proxy._pumps:
                pump.cancel()
            await asyncio.gather(*proxy._pumps, return_exceptions=True)

    async def _accept(
        self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        from_server, to_server = await asyncio.open_connection(*self._upstream)
        answered = True

        def asked() -> None:
            nonlocal answered
            self.round_trips += answered
            answered = False

        def replied() -> None:
            nonlocal answered
            answered = True

        for reader, writer, note in (
            (from_client, to_server, asked),
            (from_server, to_client, replied),
        ):
            self._pumps.add(asyncio.create_task(_pump(reader, writer, note)))


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: Callable[[], None]
) -> None:
    try:
        while data := await reader.read(65536):
            note()
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def _count(url: str, pairs: int) -> int:
    target = urlsplit(url)
    assert target.hostname
    assert target.port
    async with CountingProxy.running((target.hostname, target.port)) as proxy:
        resource = SharedResource("round_trips", capacity=1)
        # A heartbeat is due after a third of a lease: none comes while this runs.
        async with AsyncLOCOScheduler([], resource, redis=proxy.url, lease_ttl=300.0) as scheduler:
            async with scheduler.acquire("agent", weight=1.0):
                pass  # the scripts are loaded now
            before = proxy.round_trips
            for _ in range(pairs):
                async with scheduler.acquire("agent", weight=1.0):
                    pass
            return proxy.round_trips - before


def run(process: EmbeddedServer, *, pairs: int = 200) -> list[Figure]:
    """One row; the mean over `pairs`, one after the other."""
    with server.connected(process):
        counted = asyncio.run(_count(process.url, pairs))
    return [
        Figure(
            "round trips of an uncontended acquire + release",
            counted / pairs,
            "round trips",
            Must(2),
            f"{counted} for {pairs} pairs",
        )
    ]
