"""A server that belongs to somebody else: scripts are functions, loaded by its administrator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import redis

from loco_redis import AsyncLOCOScheduler
from loco_redis._rights import OPTIONAL, WORKER, acl_rules, under
from loco_redis._scripts import library
from tests.schedulers import Schedulers
from tests.servers import BINARIES, DEFAULT, Fleet, Server

WITHOUT = ("redis-6.2",)
RIGHTS = under("functions", (*WORKER, *OPTIONAL))
FUNCTIONS = {"scripts": "functions"}


@dataclass
class Hardened:
    """A server, and the URL of a user of it who has `RIGHTS`."""

    server: Server
    url: str

    @classmethod
    def of(cls, server: Server) -> Hardened:
        made = cls(server, server.url.replace("://", "://op:x@"))
        made.may(*RIGHTS)
        return made

    def may(self, *rights: str) -> None:
        """The user may do this, from now on."""
        rules = acl_rules(rights).split()
        self.client.execute_command("ACL", "SETUSER", "op", "reset", "on", "nopass", *rules)

    @property
    def client(self) -> redis.Redis:
        """The administrator's."""
        return self.server.client

    def load(self) -> None:
        self.client.function_load(library().text, replace=True)

    def count(self, command: str) -> int:
        """How often it was called since CONFIG RESETSTAT."""
        found = self.client.info("commandstats").get(f"cmdstat_{command}", {})
        return int(found.get("calls", 0))


@pytest.fixture(params=[name for name in BINARIES if name not in WITHOUT])
def any_hardened(fleet: Fleet, request: pytest.FixtureRequest) -> Iterator[Hardened]:
    """Each server that has functions in turn; nothing is loaded yet."""
    server = fleet.flushed(request.param)
    yield Hardened.of(server)
    server.client.function_flush()
    server.client.execute_command("ACL", "DELUSER", "op")


@pytest.fixture
def hardened(fleet: Fleet) -> Iterator[Hardened]:
    """The default server."""
    server = fleet.flushed(DEFAULT)
    yield Hardened.of(server)
    server.client.function_flush()
    server.client.execute_command("ACL", "DELUSER", "op")


@pytest.fixture
async def hardened_schedulers(hardened: Hardened) -> AsyncIterator[Schedulers]:
    made = Schedulers(hardened.server)
    yield made
    await made.aclose()


@pytest.fixture
async def any_hardened_schedulers(any_hardened: Hardened) -> AsyncIterator[Schedulers]:
    made = Schedulers(any_hardened.server)
    yield made
    await made.aclose()


async def work(scheduler: AsyncLOCOScheduler, agent: str, times: int = 3) -> None:
    """So many passages through a slot."""
    for _ in range(times):
        async with scheduler.acquire(agent):
            await asyncio.sleep(0)
