"""The decisions as log records, and LOCO_LOG in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from loco_redis import (
    AcquireTimeoutError,
    AsyncLOCOScheduler,
    BackpressureError,
    BudgetExceededError,
    BudgetPolicy,
    LeaseLostError,
    Policy,
    PolicyEnforcer,
    PolicyViolationError,
    Task,
)
from loco_redis import _log as decisions
from tests.schedulers import Schedulers
from tests.servers import Server
from tests.waiting import eventually

PASSWORD = "hunter2-in-the-url"

# Capacity 1: `analyst` holds, an agent with a hostile name waits for it, `late` gives up.
STORY = """
import asyncio
from loco_redis import *

async def main():
    resource = SharedResource("llm", capacity=1)
    async with AsyncLOCOScheduler([], resource) as scheduler:
        await scheduler.submit_task("batch", Task(weight=3.0, payload=b"the-prompt"))
        held = await scheduler.acquire_start("analyst", weight=2.0)
        waiter = asyncio.create_task(scheduler.acquire_start("\\x1b[31mred\\nline"))
        while not (await scheduler.snapshot()).waiting:
            await asyncio.sleep(0.005)
        try:
            await scheduler.acquire_start("late", weight=1.0, timeout=0.0)
        except AcquireTimeoutError:
            pass
        await scheduler.release_handle(held)
        await scheduler.release_handle(await waiter)
        await scheduler.reconfigure(capacity=4, alpha=0.5)

asyncio.run(main())
"""


@pytest.fixture
def secured(server: Server) -> Iterator[str]:
    """A URL with a password for the default server."""
    server.client.acl_setuser(
        "worker",
        enabled=True,
        passwords=[f"+{PASSWORD}"],
        commands=["+@all"],
        keys=["*"],
        channels=["*"],
    )
    yield server.url.replace("unix://", f"unix://worker:{PASSWORD}@")
    server.client.acl_deluser("worker")


def told(url: str, form: str, **environment: str) -> str:
    """What the story writes to stderr."""
    ran = subprocess.run(
        [sys.executable, "-c", STORY],
        env={**os.environ, "LOCO_REDIS_URL": url, "LOCO_LOG": form, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr
    return ran.stderr


def test_pretty_prints_a_line_for_each_decision(secured: str) -> None:
    """Names are made harmless; off a terminal there is no colour; no prompt, no password."""
    printed = told(secured, "pretty")
    submit, *lines = printed.splitlines()
    assert submit.startswith("[SUBMIT] batch weight=3.0 task=")
    assert lines == [
        "[ENQUEUE] analyst weight=2.0 queue=2.0 (tick 0)",
        lines[1],
        r"[ENQUEUE] \x1b[31mred\nline queue=1.0 (tick 0)",
        "[ENQUEUE] late weight=1.0 queue=1.0 (tick 0)",
        "[REFUSE] late why=timeout timeout=0.0",
        "[RELEASE] analyst cost=2.0 util=0% (tick 1)",
        lines[6],
        r"[RELEASE] \x1b[31mred\nline cost=1.0 util=0% (tick 2)",
        "[RECONFIGURE] llm version=2 capacity=4 alpha=0.5",
    ]
    assert lines[1].startswith("[GRANT] analyst score=")
    assert lines[1].endswith(" waited=0 (tick 0)")
    assert lines[6].startswith(r"[GRANT] \x1b[31mred\nline score=")
    assert lines[6].endswith(" waited=1 (tick 1)")
    assert "\x1b" not in printed
    assert PASSWORD not in printed
    assert "the-prompt" not in printed


def test_json_prints_an_object_for_each_decision(secured: str) -> None:
    """The same facts for programs, with times and ids."""
    printed = told(secured, "JSON")
    rows = [json.loads(line) for line in printed.splitlines()]
    assert [row["event"] for row in rows] == [
        "submit", "enqueue", "grant", "enqueue", "enqueue", "refuse", "release", "grant", "release",
        "reconfigure",
    ]  # fmt: skip
    assert all(row["resource"] == "llm" and row["ts"].endswith("+00:00") for row in rows)
    grant, release = rows[2], rows[6]
    assert grant.items() >= {"agent": "analyst", "weight": 2.0, "tick": 0, "slot": 0}.items()
    assert grant["waited_ticks"] == 0
    assert grant["waited_seconds"] > 0
    assert grant["token"] == release["token"] > 10**15
    assert grant["request"] == release["request"] == rows[1]["request"]
    assert release.items() >= {"cost": 2.0, "util": 0.0, "tick": 1}.items()
    assert rows[3]["agent"] == "\x1b[31mred\nline"
    assert rows[9].items() >= {"version": 2, "capacity": 4, "alpha": 0.5}.items()
    assert PASSWORD not in printed
    assert "the-prompt" not in printed


def test_another_value_is_one_warning(redis_url: str) -> None:
    """It names the value and those there are, and prints nothing else."""
    printed = told(redis_url, "loud")
    assert printed == "LOCO_LOG='loud' is not known: set it to pretty or json\n"


@pytest.mark.parametrize("no_colour", ["", "1"])
def test_colours_on_a_terminal(redis_url: str, no_colour: str) -> None:
    """Only there, and not where NO_COLOR is set."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", STORY],
        env={
            **os.environ,
            "LOCO_REDIS_URL": redis_url,
            "LOCO_LOG": "pretty",
            "NO_COLOR": no_colour,
            "TERM": "xterm",
        },
        stderr=theirs,
    )
    os.close(theirs)
    got = bytearray()
    # The kernel answers EIO once nobody has the other end open.
    with contextlib.suppress(OSError):
        while chunk := os.read(ours, 65536):
            got += chunk
    os.close(ours)
    assert process.wait(timeout=10) == 0
    assert (b"\x1b[1;32m[GRANT]\x1b[0m analyst" in got) is (not no_colour)
    assert b"\x1b[31m" not in got


class Heard(logging.Handler):
    """A handler of the user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.facts: list[dict[str, Any]] = []
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.facts.append(record.loco)  # type: ignore[attr-defined]
        self.texts.append(record.getMessage())

    def of(self, event: str) -> list[dict[str, Any]]:
        return [facts for facts in self.facts if facts["event"] == event]


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler, logger = Heard(), logging.getLogger("loco_redis.decisions")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


async def test_a_handler_of_ones_own_gets_the_facts(schedulers: Schedulers, heard: Heard) -> None:
    """`record.loco` has them, the message is the pretty line."""
    async with schedulers() as scheduler, scheduler.acquire("a") as lease:
        pass
    assert [facts["event"] for facts in heard.facts] == ["enqueue", "grant", "release"]
    assert heard.of("grant")[0]["token"] == lease.token
    assert heard.texts[2] == "[RELEASE] a cost=1.0 util=0% (tick 1)"


async def test_unheard_nothing_is_computed(
    schedulers: Schedulers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And without LOCO_LOG no handler is ours."""
    logger = logging.getLogger("loco_redis.decisions")
    before = logger.level
    logger.setLevel(logging.WARNING)
    monkeypatch.setattr(decisions, "_tell", None)
    try:
        async with schedulers() as scheduler, scheduler.acquire("a"):
            pass
        assert logger.handlers == []
    finally:
        logger.setLevel(before)


class Picky(Policy):
    name = "picky"

    def check(self, agent_id: str, task: Task | None = None) -> None:
        if agent_id == "refused":
            raise PolicyViolationError(self.name, agent_id, "said the-prompt")


async def test_each_refusal_says_why(schedulers: Schedulers, heard: Heard) -> None:
    """Backpressure, a budget, a policy of one's own (without its words), a caller that leaves."""
    policies = PolicyEnforcer([BudgetPolicy(2.5), Picky()])
    async with schedulers(max_waiters=1, enforcer=policies) as scheduler:
        with pytest.raises(BudgetExceededError):
            await scheduler.acquire_start("poor", weight=3.0)
        with pytest.raises(BudgetExceededError):
            await scheduler.submit_task("poor", Task(weight=4.0))
        with pytest.raises(PolicyViolationError):
            await scheduler.acquire_start("refused")
        held = await scheduler.acquire_start("a")
        waiting = asyncio.create_task(scheduler.acquire_start("b"))
        await eventually(lambda: schedulers.waiting() == 1)
        with pytest.raises(BackpressureError):
            await scheduler.acquire_start("c")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await scheduler.release_handle(held)
    budget, submitted, own, pressure = heard.of("refuse")
    assert budget.items() >= {"why": "budget", "limit": 2.5, "used": 0.0, "asked": 3.0}.items()
    assert submitted.items() >= {"agent": "poor", "why": "budget", "asked": 4.0}.items()
    assert own == {"event": "refuse", "resource": "llm", "agent": "refused", "why": "picky"}
    assert pressure.items() >= {"agent": "c", "why": "backpressure", "max_waiters": 1}.items()
    assert [facts["agent"] for facts in heard.of("cancel")] == ["b"]
    assert not any("the-prompt" in text for text in heard.texts)


async def test_what_is_lost_says_why(schedulers: Schedulers, heard: Heard) -> None:
    """A slot that an operator took back is lost, once, and not released."""
    async with schedulers() as scheduler:
        handle = await scheduler.acquire_start("a")
        await scheduler.operations.release(handle.lease.token)
        await eventually(lambda: handle.lease.lost)
        with pytest.raises(LeaseLostError):
            await scheduler.release_handle(handle)
    (lost,) = heard.of("lost")
    assert lost.items() >= {"agent": "a", "token": handle.lease.token, "slot": 0}.items()
    assert lost["why"] == "an operator took the slot back"
    assert heard.of("release") == []


async def test_a_durable_task_and_a_change_by_somebody_else(
    schedulers: Schedulers, heard: Heard
) -> None:
    """A grant names the task it serves; each process tells a change it hears of."""
    async with schedulers(capacity=1) as scheduler, schedulers(capacity=None) as other:
        task_id = await scheduler.submit_task("a", Task(weight=4.0))
        async with scheduler.acquire("a"):
            pass
        await other.reconfigure(max_waiters=7)
        await eventually(lambda: len(heard.of("reconfigure")) == 2)
    assert heard.of("submit")[0]["task"] == heard.of("grant")[0]["task"] == task_id
    assert [facts["max_waiters"] for facts in heard.of("reconfigure")] == [7, 7]


async def test_a_tick_is_right_or_left_out(schedulers: Schedulers, heard: Heard) -> None:
    """Granted by another process' release: the tick follows from the arrival and the age."""
    async with schedulers() as scheduler, schedulers(capacity=None) as other:
        held = await scheduler.acquire_start("a")
        waiting = asyncio.create_task(other.acquire_start("b"))
        await eventually(lambda: schedulers.waiting() == 1)
        await scheduler.release_handle(held)
        await other.release_handle(await waiting)
    assert [facts["tick"] for facts in heard.of("grant")] == [0, 1]
    assert [facts["tick"] for facts in heard.of("release")] == [1, 2]


async def test_a_timeout_is_told_where_redis_was_asked(
    schedulers: Schedulers, heard: Heard
) -> None:
    async with schedulers() as scheduler, scheduler.acquire("a"):
        with pytest.raises(AcquireTimeoutError):
            await _other_task(scheduler)
    assert heard.of("refuse")[0].items() >= {"why": "timeout", "timeout": 0.05}.items()
    assert heard.of("refuse")[0]["request"] == heard.of("enqueue")[1]["request"]


async def _other_task(scheduler: AsyncLOCOScheduler) -> None:
    await scheduler.acquire_start("b", timeout=0.05, nested="allow")


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.0, "2.0"), (9.5, "9.5"), (0.25, "0.25"), (0.9996, "1.0"), (1e6, "1000000.0"), (7, "7")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert decisions._plain(value) == text


def test_importing_installs_nothing() -> None:
    """LOCO_LOG is looked at when the first scheduler opens."""
    code = "import loco_redis, logging; print(logging.getLogger('loco_redis.decisions').handlers)"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "LOCO_LOG": "pretty"},
        capture_output=True,
        text=True,
    )
    assert ran.stdout == "[]\n"
