"""Processes that are killed while they hold, and while they stand in the line."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loco_redis.orchestration.pools.pool import ResourcePool
from tests.orchestration.pools.conftest import Pools, in_line
from tests.waiting import eventually
from tests.workers import ROOT

SCRIPT = Path(__file__).with_name("waiter.py")


class Process:
    def __init__(self, url: str, agent: str, *names: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, str(SCRIPT), url, agent, *names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    async def says(self, word: str) -> None:
        assert self.popen.stdout is not None
        async with asyncio.timeout(20):
            assert (await asyncio.to_thread(self.popen.stdout.readline)).strip() == word

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def started() -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    for process in started:
        process.kill()


async def test_what_a_killed_holder_had_is_free_again(pools: Pools, started: list[Process]) -> None:
    """All of it, after lease and heartbeat, for one who waits in another process."""
    pools.at_rest = False
    started.append(Process(pools.server.url, "victim", "a", "b"))
    await started[0].says("waiting")
    await started[0].says("holding")
    pool = pools.pair(lease_ttl=1.0)
    waiting = asyncio.create_task(_pass(pool, ["b", "a"]))
    await in_line(pools, b"agent")
    started[0].kill()
    await asyncio.wait_for(waiting, 8)
    assert pools.held("g/a", "g/b") == [0, 0]


async def _pass(pool: ResourcePool, names: list[str]) -> None:
    async with pool.acquire_multiple("agent", names):
        pass


async def test_a_killed_waiter_does_not_stand_in_the_way_for_long(
    pools: Pools, started: list[Process]
) -> None:
    """Its row expires; then those behind it go."""
    pools.at_rest = False
    pool = pools.pair(lease_ttl=1.0)
    async with pool.acquire_multiple("holder", ["a"]):
        started.append(Process(pools.server.url, "victim", "a", "b"))
        await started[0].says("waiting")
        await in_line(pools, b"victim")
        started[0].kill()
    await asyncio.wait_for(_pass(pool, ["b"]), 10)
    await eventually(lambda: not pools.in_line())


async def test_processes_pass_each_other_slots(pools: Pools, started: list[Process]) -> None:
    """A waiter in another process is told when the slots are free."""
    pool = pools.pair(lease_ttl=1.0)
    async with pool.acquire_multiple("holder", ["a", "b"]):
        started.append(Process(pools.server.url, "other", "b", "a"))
        await started[0].says("waiting")
        await in_line(pools, b"other")
    await started[0].says("holding")
    pipe = started[0].popen.stdin
    assert pipe is not None
    pipe.write("\n")
    pipe.flush()
    await started[0].says("done")
