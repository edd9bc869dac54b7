"""Fixtures of this folder: agent schedulers that leave nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from loco_redis._scripts import Scripts
from loco_redis.orchestration.agents import AgentSchedulerConfig, AsyncAgentScheduler
from loco_redis.testing import dump, invariants
from tests.clusters import cluster_url
from tests.orchestration.agents.configs import NAME
from tests.schedulers import background_work
from tests.servers import Server
from tests.waiting import eventually

__all__ = ["cluster_url"]


class Agents:
    """Makes agent schedulers on one server.

    Attributes:
        at_rest: whether nothing may be left in Redis after the test, kept replies apart.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.at_rest = True
        self._made: list[AsyncAgentScheduler] = []

    def __call__(self, config: AgentSchedulerConfig, **options: Any) -> AsyncAgentScheduler:
        """Not started yet."""
        scheduler = AsyncAgentScheduler(config, **{"redis": self.server.url, **options})
        self._made.append(scheduler)
        return scheduler

    def dump(self) -> dump.Dump:
        scripts = Scripts(NAME)
        command = scripts.dump()
        keys = scripts.keys.all
        raw = self.server.client.eval(scripts.source("dump"), len(keys), *keys, *command.args)
        return dump.parse(command.decode(raw))

    async def aclose(self) -> None:
        await asyncio.gather(*(scheduler.stop(grace=0) for scheduler in self._made))
        found = self.dump()
        if found.vars:
            invariants.check(found)
        if found.vars and self.at_rest:
            assert not found.holders
        await eventually(lambda: background_work() == [], what="threads and tasks have ended")


@pytest.fixture
async def agents(server: Server) -> AsyncIterator[Agents]:
    """A maker of agent schedulers on the default server; afterwards nothing may be held or left."""
    made = Agents(server)
    yield made
    await made.aclose()


@pytest.fixture
async def any_agents(any_server: Server) -> AsyncIterator[Agents]:
    """The same on each server of this machine in turn."""
    made = Agents(any_server)
    yield made
    await made.aclose()
