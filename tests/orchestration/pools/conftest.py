"""Fixtures of this folder: pools with short leases, closed afterwards, that must leave nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextvars import Context
from typing import Any, TypeVar

import pytest

from loco_redis import SharedResource
from loco_redis._scripts import Scripts
from loco_redis.orchestration.pools._line import line_key
from loco_redis.orchestration.pools.pool import ResourcePool
from loco_redis.testing import dump, invariants
from tests.clusters import cluster_url
from tests.schedulers import background_work
from tests.servers import Server
from tests.waiting import eventually

__all__ = ["cluster_url"]

T = TypeVar("T")


def apart(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task that does not count as holding what its maker holds."""
    return asyncio.get_running_loop().create_task(work, context=Context())


class Pools:
    """Makes pools on one server.

    Attributes:
        at_rest: whether nothing may be left after the test; tests that kill processes leave
            sessions.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.at_rest = True
        self._made: list[ResourcePool] = []
        self._names: set[str] = set()

    def __call__(self, *resources: SharedResource, **options: Any) -> ResourcePool:
        options = {"redis": self.server.url, "lease_ttl": 2.0, "backend_timeout": 5.0, **options}
        pool = ResourcePool(**options)
        for resource in resources:
            pool.add(resource)
            self._names.add(resource.full_name)
        self._made.append(pool)
        return pool

    def pair(self, **options: Any) -> ResourcePool:
        """`a` and `b` of the group `g`, one slot each."""
        return self(*(SharedResource(name, 1, group="g") for name in "ab"), **options)

    def dump(self, name: str) -> dump.Dump:
        scripts = Scripts(name)
        command, keys = scripts.dump(), scripts.keys.all
        raw = self.server.client.eval(scripts.source("dump"), len(keys), *keys, *command.args)
        return dump.parse(command.decode(raw))

    def figure(self, name: str, figure: bytes) -> int:
        """Of `vars`: `held`, `peak`, `granted`, `waiting`, ..."""
        return int(self.dump(name).vars.get(figure, 0))

    def held(self, *names: str) -> list[int]:
        return [len(self.dump(name).holders) for name in names]

    def in_line(self, group: str = "g") -> list[bytes]:
        """The agents in the line, in no order."""
        rows = self.server.client.hgetall(line_key(group))
        return [row.rsplit(b"|", 1)[1] for name, row in rows.items() if name[:1] != b"#"]

    async def aclose(self) -> None:
        await asyncio.gather(*(pool.aclose() for pool in self._made))
        for name in self._names:
            invariants.check(self.dump(name))
            if self.at_rest:
                invariants.check_at_rest(self.dump(name))
        if self.at_rest:
            assert not self.server.client.keys("*:line")
        left = background_work()
        assert left == [], f"left running: {left}"


@pytest.fixture
async def pools(server: Server) -> AsyncIterator[Pools]:
    """A maker of pools on the default server."""
    pools = Pools(server)
    yield pools
    await pools.aclose()


@pytest.fixture
async def any_pools(any_server: Server) -> AsyncIterator[Pools]:
    """The same on each server of this machine in turn."""
    pools = Pools(any_server)
    yield pools
    await pools.aclose()


async def in_line(pools: Pools, *agents: bytes) -> None:
    """Until exactly these stand in the line."""
    await eventually(lambda: sorted(pools.in_line()) == sorted(agents), what=f"{agents} in line")
