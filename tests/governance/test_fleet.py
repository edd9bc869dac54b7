"""A budget holds for all processes of a fleet together, whoever dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loco_redis import BudgetPolicy
from loco_redis._rows import AccountRow
from tests.schedulers import Schedulers
from tests.servers import Server
from tests.waiting import eventually

SCRIPT = Path(__file__).with_name("spender.py")
AGENT, LIMIT = "analyst", 100.0


class Spender:
    """One process of `spender.py`."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), url, AGENT, str(LIMIT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])},
        )

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def expect(self, event: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        facts: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert facts["event"] == event
        return facts

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def spenders(server: Server) -> Iterator[list[Spender]]:
    """Five processes, each with a session of its own."""
    processes = [Spender(server.url) for _ in range(5)]
    for process in processes:
        process.expect("ready")
    yield processes
    for process in processes:
        process.end()


def account(schedulers: Schedulers) -> AccountRow:
    """What Redis holds of the agent's money, in thousandths."""
    return AccountRow.parse(schedulers.dump().accounts[b"a" + AGENT.encode()])


def burst(spenders: list[Spender], times: int) -> tuple[int, int]:
    """Each asks so often at once: granted and refused in all."""
    for spender in spenders:
        spender.tell(f"acquire {times}")
    told = [spender.expect("acquired") for spender in spenders]
    return sum(facts["granted"] for facts in told), sum(facts["refused"] for facts in told)


async def test_fifty_at_once_spend_no_more_than_the_limit(
    spenders: list[Spender], schedulers: Schedulers
) -> None:
    """Of 50 concurrent acquires of cost 10 from 5 processes against 100 ten are granted; the dead
    stay charged as unsettled, the living by what they settle, and the rest can be spent again."""
    schedulers.at_rest = False
    async with schedulers(50, budget=BudgetPolicy(limits={AGENT: LIMIT}), lease_ttl=1.0) as mine:
        assert mine.budget is not None
        assert burst(spenders, 10) == (10, 40)
        for spender in spenders:
            spender.tell("fail")
            spender.expect("released")
        assert await mine.budget.remaining(AGENT) == LIMIT

        doomed, survivor, *others = spenders
        assert burst([doomed, survivor], 5) == (10, 0)
        assert burst(others, 2) == (0, 6)
        doomed.end()
        await eventually(lambda: account(schedulers).unsettled == 50_000)
        assert burst(others, 2) == (0, 6)

        survivor.tell("settle 7")
        survivor.expect("released")
        assert await mine.budget.spent(AGENT) == 35.0
        assert await mine.budget.unsettled(AGENT) == 50.0
        assert burst(others, 2) == (1, 5)
