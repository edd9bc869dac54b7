"""Several processes: one sends, others serve, some are killed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loco_redis.orchestration.agents import AgentScheduler
from tests.orchestration.agents.configs import config
from tests.orchestration.agents.conftest import Agents
from tests.waiting import eventually
from tests.workers import ROOT

SCRIPT = Path(__file__).with_name("worker.py")


class Process:
    """One of `worker.py`."""

    def __init__(self, url: str, mode: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", str(SCRIPT), url, mode],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self.pid = self.told()["pid"]

    def told(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        facts: dict[str, Any] = json.loads(self._process.stdout.readline())
        return facts

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self) -> int:
        return self._process.wait(30)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def serving(redis_url: str) -> Iterator[Callable[[str], Process]]:
    """Starts processes that serve."""
    started: list[Process] = []

    def start(mode: str) -> Process:
        started.append(Process(redis_url, mode))
        return started[-1]

    yield start
    for process in started:
        process.end()


async def test_a_reply_comes_from_another_process(
    agents: Agents, serving: Callable[[str], Process]
) -> None:
    """To a process without handlers; SIGTERM ends the one that serves, which drains."""
    server = serving("echo")
    async with agents(config(), serve=False) as client:
        reply = await client.send_message("echo", "Hello", timeout=20)
        assert reply == {"message": "Hello", "pid": server.pid, "attempt": 1}
        server.signal(signal.SIGTERM)
        assert server.told() == {"stopped": True}
        assert server.ended() == 0


async def test_a_message_survives_the_process_that_handles_it(
    agents: Agents, serving: Callable[[str], Process]
) -> None:
    """Killed in the middle: once its lease has run out another answers, in a second attempt."""
    dying = serving("hang")
    async with agents(config(), serve=False) as client:
        sending = asyncio.create_task(client.send_message("echo", "x", timeout=60))
        assert await asyncio.to_thread(dying.told) == {"began": "x"}
        other = serving("echo")
        dying.signal(signal.SIGKILL)
        assert await sending == {"message": "x", "pid": other.pid, "attempt": 2}


@pytest.mark.chaos
async def test_no_message_is_lost_when_processes_are_killed(
    agents: Agents, serving: Callable[[str], Process]
) -> None:
    """300 messages over three processes, two of which are killed on the way: each gets its own
    reply, with a second attempt only where a process died."""
    processes = [serving("hundredths") for _ in range(3)]
    async with agents(config(), serve=False) as client:
        sending = [
            asyncio.create_task(client.send_message("echo", n, timeout=60)) for n in range(300)
        ]
        for at, process in zip((50, 120), random.Random(8).sample(processes, 2), strict=True):
            await eventually(lambda at=at: sum(task.done() for task in sending) >= at, 30)
            process.signal(signal.SIGKILL)
        replies = await asyncio.gather(*sending)
    assert [reply["message"] for reply in replies] == [*range(300)]
    again = sum(reply["attempt"] > 1 for reply in replies)
    assert again <= 2 * 4  # lanes of those that died


def test_the_plain_scheduler_talks_to_other_processes(
    redis_url: str, serving: Callable[[str], Process]
) -> None:
    """start, send_message, stop, as in the system that it stands in for."""
    server = serving("echo")
    scheduler = AgentScheduler(config(), serve=False, redis=redis_url)
    scheduler.start()
    response = scheduler.send_message(agent_id="echo", message="Hello, world!", timeout=20)
    scheduler.stop()
    assert response == {"message": "Hello, world!", "pid": server.pid, "attempt": 1}
