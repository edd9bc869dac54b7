"""`with agent(...)`: who calls, and whom the costs are attributed to."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from loco_redis import SecurityLabel, Task, agent
from loco_redis.context import Caller, current


def test_nobody_by_default() -> None:
    """Outside of all blocks there is no caller, nor after them."""
    assert current() is None
    with agent("analyst"):
        assert current() == Caller("analyst")
    assert current() is None


def test_block_gives_its_caller() -> None:
    """The caller has the arguments as attributes, and is frozen."""
    labels = {"input": SecurityLabel.INTERNAL}
    with agent("a", session_id="s", team="t", workflow="w", labels=labels) as caller:
        assert caller is current()
    assert (caller.agent_id, caller.session_id, caller.team, caller.workflow) == (
        "a",
        "s",
        "t",
        "w",
    )
    labels.clear()
    assert caller.labels == {"input": "internal"}
    with pytest.raises(TypeError):
        caller.labels["input"] = "public"
    with pytest.raises(dataclasses.FrozenInstanceError):
        caller.team = "other"
    assert hash(caller) == hash(dataclasses.replace(caller))


def test_inner_one_wins() -> None:
    """The inner agent calls; what it leaves out is as the outer one says."""
    with agent("outer", team="risk", workflow="report", labels={"x": "public"}):
        with agent("inner", team="fraud", session_id="s-1"):
            assert current() == Caller("inner", "s-1", "fraud", "report", {"x": "public"})
            with agent("innermost", labels={}):
                assert current() == Caller("innermost", "s-1", "fraud", "report", {})
        assert current() == Caller("outer", None, "risk", "report", {"x": "public"})


def test_entered_many_times() -> None:
    """One object may be entered again, inside itself and after it."""
    who = agent("a", team="t")
    for _ in range(2):
        with who, agent("b"), who:
            assert current() == Caller("a", team="t")
            with agent("c"):
                pass
            assert current() == Caller("a", team="t")
        assert current() is None


def test_left_in_another_order() -> None:
    """Each exit takes away its own block only."""
    first, second = ExitStack(), ExitStack()
    first.enter_context(agent("first"))
    second.enter_context(agent("second"))
    first.close()
    assert current() == Caller("second")
    second.close()
    assert current() is None


async def test_tasks_inherit_and_do_not_disturb_each_other() -> None:
    """A task has its maker's caller for life; what it enters itself is its own, with one object in
    several tasks at once, too."""
    seen: list[str] = []
    who = agent("child")

    async def work(turn: asyncio.Event) -> None:
        seen.append(_name())
        with who:
            turn.set()
            await go.wait()
            seen.append(_name())
        seen.append(_name())

    go, turns = asyncio.Event(), [asyncio.Event() for _ in range(3)]
    with agent("parent"):
        tasks = [asyncio.create_task(work(turn)) for turn in turns]
    for turn in turns:
        await turn.wait()
    assert current() is None
    go.set()
    await asyncio.gather(*tasks)
    assert seen == ["parent"] * 3 + ["child", "parent"] * 3


async def test_threads() -> None:
    """asyncio.to_thread takes the caller along; a thread of one's own begins without."""
    with agent("a"):
        assert await asyncio.to_thread(_name) == "a"
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(current).result() is None


async def test_left_in_another_context() -> None:
    """An async generator that is closed by another task than it was begun in raises nothing."""

    async def calls() -> AsyncIterator[str]:
        with agent("generator"):
            yield _name()

    async def begin() -> None:
        assert await anext(generator) == "generator"

    generator = calls()
    await asyncio.create_task(begin())
    await generator.aclose()
    assert current() is None


def test_task_of_a_caller() -> None:
    """A caller makes tasks with its attributes."""
    caller = Caller("a", "s", "t", "w", {"x": "public"})
    expected = Task(weight=2.5, session_id="s", team="t", workflow="w", labels={"x": "public"})
    assert caller.task(2.5) == expected


def test_repr() -> None:
    """It shows what was given."""
    assert repr(agent("a")) == "agent('a')"
    assert (
        repr(agent("a", team="t", labels={"x": "y"})) == "agent('a', team='t', labels={'x': 'y'})"
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"agent_id": ""}, "agent id must not be empty"),
        ({"agent_id": None}, "agent id must be a str, got None"),
        ({"agent_id": "a\0b"}, "holds a NUL"),
        ({"agent_id": "a", "team": 7}, "team must be a str, got 7"),
        ({"agent_id": "a", "session_id": "x" * 513}, "session_id must have at most 512"),
        ({"agent_id": "a", "workflow": "\x1f"}, "workflow must have"),
        ({"agent_id": "a", "labels": "public"}, "labels must be a mapping"),
        ({"agent_id": "a", "labels": {"input": 7}}, "a label must be a str, got 7"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], text: str) -> None:
    """They are refused at once, in one line."""
    with pytest.raises(ValueError, match=text):
        agent(**arguments)


def _name() -> str:
    caller = current()
    return caller.agent_id if caller is not None else ""
