"""Agents of four frameworks, each in its own process and environment, share one resource."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loco_redis.testing.fake_provider import FakeProvider, Reply, Request
from tests.frameworks.groups import ROOT, Group
from tests.schedulers import Schedulers
from tests.waiting import eventually

# Framework -> the group in whose environment it is, and how the paths of its requests end.
ENVIRONMENTS = {
    "openai": "together",
    "anthropic": "together",
    "langchain": "langchain",
    "adk": "adk",
}
PATHS = {"openai": "/responses", "anthropic": "/messages", "langchain": "/chat/completions",
         "adk": ":generateContent"}  # fmt: skip
CAPACITY = 3

pytestmark = pytest.mark.filterwarnings("ignore:alpha=1 starves")  # wanted: so the order is exact


def framework_of(request: Request) -> str:
    path = request.path.partition("?")[0]
    (found,) = [name for name, end in PATHS.items() if path.endswith(end)]
    return found


class Agent:
    """A process of `worker.py`."""

    def __init__(self, framework: str, process: asyncio.subprocess.Process) -> None:
        self.framework, self.process = framework, process

    @classmethod
    async def start(cls, framework: str, redis: str, provider: FakeProvider) -> Agent:
        group = Group.read(Path(__file__).parents[1] / ENVIRONMENTS[framework])
        module = "tests.frameworks.together.worker"
        process = await asyncio.create_subprocess_exec(
            str(group.python), "-m", module, framework, redis, provider.url,
            cwd=ROOT, env={**os.environ, **provider.environment},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        return cls(framework, process)

    async def said(self, line: str) -> None:
        """Wait until it has printed the line."""
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            found = await self.process.stdout.readline()
        assert found.decode().strip() == line, self.framework

    def ask(self, number: int) -> None:
        """Have it make so many calls at once."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{number}\n".encode())

    async def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            async with asyncio.timeout(10):
                assert await self.process.wait() == 0
        finally:
            if self.process.returncode is None:
                self.process.kill()
                await self.process.wait()


@pytest.fixture
async def agents(schedulers: Schedulers, provider: FakeProvider) -> AsyncIterator[dict[str, Agent]]:
    """One of each framework, on a resource whose slots go to the longest queue."""
    url = schedulers.server.url
    await schedulers(CAPACITY, alpha=1.0).snapshot()
    agents = {name: await Agent.start(name, url, provider) for name in ENVIRONMENTS}
    try:
        await asyncio.gather(*(agent.said("ready") for agent in agents.values()))
        yield agents
    finally:
        await asyncio.gather(*(agent.end() for agent in agents.values()))


async def test_four_frameworks_share_three_slots(
    agents: dict[str, Agent], schedulers: Schedulers, provider: FakeProvider
) -> None:
    """The provider never sees a fourth call, and all are settled at what it has said."""
    provider.default = Reply(delay=0.02)
    for agent in agents.values():
        agent.ask(10)
    for agent in agents.values():
        await agent.said("10")
    assert Counter(map(framework_of, provider.requests)) == dict.fromkeys(agents, 10)
    assert provider.peak == CAPACITY
    scheduler = schedulers(None)
    tokens = await scheduler.metrics.actual_tokens_by_agent()
    assert tokens.keys() == agents.keys()
    assert sum(tokens.values()) == sum(bill.total_tokens for bill in provider.reported)
    now = await scheduler.snapshot()
    assert (now.held, now.waiting, now.granted) == (0, 0, 40)


async def test_a_spike_of_one_framework_overtakes_the_batch_of_another(
    agents: dict[str, Agent], schedulers: Schedulers, provider: FakeProvider
) -> None:
    """With alpha = 1, L(i) is the queue's share of the longest: 20 calls that come in at once go
    before a batch of which 6 wait, until no more of them wait than of the batch."""
    gates = [threading.Event() for _ in range(CAPACITY + 6 + 20)]
    provider.script(*(Reply(gate=gate) for gate in gates))
    scheduler = schedulers(None)

    async def waiting(number: int) -> None:
        async with asyncio.timeout(30):
            while (await scheduler.snapshot()).waiting != number:  # noqa: ASYNC110  of processes
                await asyncio.sleep(0.01)

    agents["langchain"].ask(CAPACITY + 6)
    await waiting(6)
    agents["adk"].ask(20)
    await waiting(6 + 20)
    for number, gate in enumerate(gates):  # one by one, so that requests come in as granted
        sent = min(number + CAPACITY, len(gates))
        await eventually(lambda sent=sent: len(provider.requests) == sent)
        gate.set()
    await agents["langchain"].said("9")
    await agents["adk"].said("20")
    order = [framework_of(request) for request in provider.requests]
    assert order[:CAPACITY] == ["langchain"] * CAPACITY
    overtaking = order[CAPACITY : CAPACITY + 14]
    assert overtaking == ["adk"] * 14
    rest = order[CAPACITY + 14 :]
    assert all(abs(rest[:n].count("adk") - n / 2) <= 1 for n in range(len(rest) + 1)), rest
