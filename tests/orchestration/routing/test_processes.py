"""Two processes, one router: what they share, and what is left when one is killed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loco_redis.orchestration.routing import Router
from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.orchestration.routing.routers import Routers
from tests.orchestration.routing.worker import BREAKER, FLIGHT_TTL
from tests.servers import Server
from tests.waiting import eventually

SCRIPT = Path(__file__).with_name("worker.py")


class Process:
    """One of `worker.py`."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[3])},
        )

    def tell(self, do: str, count: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, "count": count}) + "\n")
        self._process.stdin.flush()

    def told(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        facts: dict[str, Any] = json.loads(self._process.stdout.readline())
        return facts

    def does(self, do: str, count: int) -> list[str]:
        self.tell(do, count)
        found: list[str] = self.told()["found"]
        return found

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


class Fleet:
    """Two processes and the providers of the backends a and b."""

    def __init__(self, server: Server, a: FakeProvider, b: FakeProvider) -> None:
        self.a, self.b = a, b
        arguments = (server.url, a.openai_url, b.openai_url)
        self.processes = [Process(*arguments) for _ in range(2)]
        for process in self.processes:
            assert process.told() == {"ready": True}

    def do(self, do: str, count: int) -> list[str]:
        """All at once; what they found together."""
        for process in self.processes:
            process.tell(do, count)
        return [name for process in self.processes for name in process.told()["found"]]

    def end(self) -> None:
        for process in self.processes:
            process.kill()


@pytest.fixture
def pair(server: Server, providers: Callable[[], FakeProvider]) -> Iterator[Fleet]:
    pair = Fleet(server, providers(), providers())
    yield pair
    pair.end()


@pytest.fixture
def watcher(pair: Fleet, routers: Routers) -> Router:
    """A router of the test itself, which only looks."""
    routers.at_rest = False  # the processes' sessions
    return routers(["a", "b"], lease_ttl=None)


async def states(watcher: Router) -> dict[str, str]:
    return {each.name: each.state for each in (await watcher.snapshot()).backends}


async def test_they_share_one_order(pair: Fleet, watcher: Router) -> None:
    """150 routes of each, at the same time: every backend gets exactly half of all."""
    found = pair.do("pick", 150)
    assert Counter(found) == {"a": 150, "b": 150}
    seen = await watcher.snapshot()
    assert [each.picked for each in seen.backends] == [150, 150]


async def test_they_share_the_breaker(pair: Fleet, watcher: Router, routers: Routers) -> None:
    """One backend breaks: after four errors of both together neither sends anything there but one
    probe at a time, all calls are answered by the other; when it works again, both use it."""
    pair.a.default = Reply(status=500, delay=0.02)
    assert set(pair.do("call", 8)) == {"b"}
    assert (await states(watcher))["a"] == "open"
    sent = len(pair.a.requests)
    assert BREAKER.errors <= sent <= 16
    assert set(pair.processes[1].does("call", 10)) == {"b"}
    assert len(pair.a.requests) == sent

    gate, answered_before = threading.Event(), len(pair.b.requests)
    pair.a.default = Reply(status=500, gate=gate)
    routers.half_open("a")
    for process in pair.processes:
        process.tell("call", 10)
    await eventually(lambda: pair.a.in_flight == 1)
    await eventually(lambda: len(pair.b.requests) == answered_before + 19)
    assert len(pair.a.requests) == sent + 1
    gate.set()
    answered = [name for process in pair.processes for name in process.told()["found"]]
    assert set(answered) == {"b"}
    assert (await states(watcher))["a"] == "open"

    pair.a.default = Reply()
    routers.half_open("a")
    pair.processes[0].does("call", 1)
    assert (await states(watcher))["a"] == "closed"
    assert Counter(pair.do("call", 10)) == {"a": 10, "b": 10}


async def test_a_killed_process_leaves_no_load(
    pair: Fleet, watcher: Router, routers: Routers
) -> None:
    """Its requests in flight go after the time for which nobody has renewed them; those of the
    other, which lives for longer than that, stay."""
    dead, alive = pair.processes
    assert Counter(dead.does("hold", 6)) == {"a": 3, "b": 3}
    assert Counter(alive.does("hold", 2)) == {"a": 1, "b": 1}
    assert (await watcher.snapshot())["a"].in_flight == 4
    killed = routers.now()
    dead.kill()

    async def load() -> list[int]:
        return [each.in_flight for each in (await watcher.snapshot()).backends]

    while await load() != [1, 1]:
        assert routers.now() - killed < (FLIGHT_TTL + 3) * 1e6
        await asyncio.sleep(0.02)
    while routers.now() - killed < (FLIGHT_TTL + 1) * 1e6:
        assert await load() == [1, 1]
        await asyncio.sleep(0.05)
    assert routers.flights == 2
