"""A provider is never asked for more at once than the capacity, whoever asks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.adapters.fleet_worker import AGENTS
from tests.adapters.settled import settle_down
from tests.schedulers import Schedulers
from tests.servers import Server

SCRIPT = Path(__file__).with_name("fleet_worker.py")
PROCESSES, CALLS, CAPACITY = 3, 100, 3


class Caller:
    """One process of `fleet_worker.py`."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])},
        )

    def go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def expect(self, event: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        facts: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert facts["event"] == event
        return facts

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def callers(server: Server, provider: FakeProvider) -> Iterator[list[Caller]]:
    """Three processes, each with a scheduler and clients of both SDKs."""
    arguments = (server.url, provider.anthropic_url, provider.openai_url, str(CAPACITY), str(CALLS))
    processes = [Caller(*arguments) for _ in range(PROCESSES)]
    for process in processes:
        process.expect("ready")
    yield processes
    for process in processes:
        process.end()


async def test_three_processes_share_three_slots(
    callers: list[Caller], server: Server, provider: FakeProvider, schedulers: Schedulers
) -> None:
    """300 calls, plain and streamed, by both SDKs from three processes: the provider sees three at
    once and never more, all are answered, what they used is booked, and nothing is left."""
    provider.default = Reply(delay=0.003, chunk_delay=0.0005)
    for caller in callers:
        caller.go_on()
    texts = [caller.expect("answered")["texts"] for caller in callers]
    assert texts == [[provider.default.text] * CALLS] * PROCESSES
    assert len(provider.requests) == PROCESSES * CALLS
    assert provider.peak == CAPACITY

    schedulers.at_rest = False  # the sessions of the callers
    async with schedulers(CAPACITY, lease_ttl=None) as scheduler:
        await settle_down(server, provider)
        snapshot = await scheduler.snapshot()
        assert (snapshot.granted, snapshot.peak) == (PROCESSES * CALLS, CAPACITY)
        tokens = await scheduler.metrics.actual_tokens_by_agent()
        assert sum(tokens.values()) == sum(bill.total_tokens for bill in provider.reported)
        assert set(tokens) == set(AGENTS)
