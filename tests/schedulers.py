"""Schedulers for tests: made with short leases, closed afterwards, and checked to leave nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from loco_redis import Agent, AsyncLOCOScheduler, SharedResource
from loco_redis._scripts import Scripts
from loco_redis.testing import dump, invariants
from tests.servers import Server

NAME = "llm"


class Schedulers:
    """Makes schedulers of one resource on one server.

    Attributes:
        at_rest: whether nothing may be left in Redis after the test; tests that kill
            processes leave their sessions.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.at_rest = True
        self._made: list[AsyncLOCOScheduler] = []

    def __call__(
        self, capacity: int | None = 1, agents: Iterable[Agent] = (), **options: Any
    ) -> AsyncLOCOScheduler:
        """A scheduler, not opened yet."""
        options = {"redis": self.server.url, "lease_ttl": 2.0, "backend_timeout": 5.0, **options}
        scheduler = AsyncLOCOScheduler(agents, SharedResource(NAME, capacity), **options)
        self._made.append(scheduler)
        return scheduler

    def dump(self) -> dump.Dump:
        """All keys of the resource."""
        return dump_of(self.server)

    def held(self) -> int:
        return len(self.dump().holders)

    def waiting(self) -> int:
        return int(self.dump().vars.get(b"waiting", 0))

    async def aclose(self) -> None:
        await asyncio.gather(*(scheduler.aclose() for scheduler in self._made))
        invariants.check(self.dump())
        if self.at_rest:
            invariants.check_at_rest(self.dump())
        left = background_work()
        assert left == [], f"left running: {left}"


def dump_of(server: Server) -> dump.Dump:
    scripts = Scripts(NAME)
    command = scripts.dump()
    keys = scripts.keys.all
    raw = server.client.eval(scripts.source("dump"), len(keys), *keys, *command.args)
    return dump.parse(command.decode(raw))


def background_work() -> list[str]:
    tasks = [task.get_name() for task in asyncio.all_tasks()]
    threads = [thread.name for thread in threading.enumerate()]
    return [name for name in (*tasks, *threads) if name.startswith("loco_redis.")]


@pytest.fixture
async def schedulers(server: Server) -> AsyncIterator[Schedulers]:
    """A maker of schedulers on the default server; afterwards nothing may be held or left."""
    schedulers = Schedulers(server)
    yield schedulers
    await schedulers.aclose()


@pytest.fixture
async def any_schedulers(any_server: Server) -> AsyncIterator[Schedulers]:
    """The same on each server of this machine in turn."""
    schedulers = Schedulers(any_server)
    yield schedulers
    await schedulers.aclose()
