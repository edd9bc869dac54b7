"""@scheduled: each kind of function stays of its kind, and holds a slot while it runs."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import loco_redis as loco
from loco_redis import AcquireTimeoutError
from loco_redis.context import Caller, current
from tests.defaults import Defaults, defaults
from tests.workers import ROOT

__all__ = ["defaults"]


@loco.scheduled(agent_id="webhook", weight=2.0)
async def function(payload: int = 1, *, timeout: float = 0.0) -> tuple[int, float, Caller | None]:
    """An async function."""
    await asyncio.sleep(0)
    return payload, timeout, current()


@loco.scheduled("stream")
async def generator(count: int) -> AsyncIterator[int]:
    """An async generator."""
    for number in range(count):
        yield number


@loco.scheduled("plain")
def plain_function(payload: int) -> tuple[int, Caller | None]:
    """A plain function."""
    return payload, current()


@loco.scheduled("plain")
def plain_generator(count: int) -> Iterator[int]:
    """A plain generator."""
    yield from range(count)


# All kinds


def test_kind_name_and_signature_are_kept() -> None:
    """Who inspects a decorated function sees what it was."""
    for kind, decorated in [
        (inspect.iscoroutinefunction, function),
        (inspect.isasyncgenfunction, generator),
        (inspect.isgeneratorfunction, plain_generator),
    ]:
        assert kind(decorated)
    for other in (inspect.iscoroutinefunction, inspect.isgeneratorfunction):
        assert not other(plain_function)
    assert [f.__name__ for f in (function, generator, plain_function, plain_generator)] == [
        "function",
        "generator",
        "plain_function",
        "plain_generator",
    ]
    assert function.__doc__ == "An async function."
    assert str(inspect.signature(generator)) == "(count: 'int') -> 'AsyncIterator[int]'"


async def test_bare_decorator_and_agent_of_the_context(defaults: Defaults) -> None:
    """Without an agent it is that of the context, else "default"."""
    defaults.configure(1)

    @loco.scheduled
    async def bare() -> tuple[list[str], Caller | None]:
        return defaults.held(), current()

    @loco.scheduled()
    async def empty() -> tuple[list[str], Caller | None]:
        return defaults.held(), current()

    for function in (bare, empty):
        assert await function() == (["default"], Caller("default"))
        with loco.agent("analyst", team="t"):
            assert await function() == (["analyst"], Caller("analyst", team="t"))


async def test_methods(defaults: Defaults) -> None:
    """Methods, class methods and static methods are decorated right above their `def`."""
    defaults.configure(1)

    class Service:
        factor = 3

        @loco.scheduled(agent_id="m")
        async def method(self, value: int) -> int:
            return self.factor * value

        @classmethod
        @loco.scheduled(agent_id="c")
        async def of_class(cls, value: int) -> int:
            return cls.factor * value

        @staticmethod
        @loco.scheduled(agent_id="s")
        async def static(value: int) -> int:
            return 3 * value

        @loco.scheduled(agent_id="g")
        async def items(self) -> AsyncIterator[int]:
            yield self.factor

    service = Service()
    assert [await f(2) for f in (service.method, Service.of_class, service.static)] == [6, 6, 6]
    assert [item async for item in service.items()] == [3]
    costs = await loco.get_scheduler().metrics.cost_by_agent()
    assert costs == dict.fromkeys("mcsg", 1.0)


def test_decorated_function_can_be_pickled() -> None:
    """It is found by its name, as before."""
    assert pickle.loads(pickle.dumps(function)) is function


@pytest.mark.parametrize(
    "thing", [7, "agent", staticmethod(len), classmethod(len), SimpleNamespace], ids=repr
)
def test_not_a_function(thing: Any) -> None:
    """TypeError names what can be decorated."""
    with pytest.raises(TypeError, match="@scheduled decorates functions"):
        loco.scheduled("a")(thing)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"agent_id": ""}, "agent id must not be empty"),
        ({"agent_id": 7}, "agent id must be a str, got 7"),
        ({"agent_id": "a", "weight": 0}, "weight must be"),
        ({"timeout": "1"}, "timeout must be"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], text: str) -> None:
    """They are refused when the function is decorated."""
    with pytest.raises(ValueError, match=text):
        loco.scheduled(**arguments)


async def test_inside_a_slot_no_second_one_is_taken(defaults: Defaults) -> None:
    """All kinds use the slot that the context holds: capacity 1 is enough."""
    defaults.configure(1)

    async def all_of_them() -> None:
        assert (await function(5))[0] == 5
        assert [item async for item in generator(2)] == [0, 1]
        assert (await asyncio.to_thread(plain_function, 7))[0] == 7
        assert await asyncio.to_thread(lambda: list(plain_generator(2))) == [0, 1]
        assert defaults.held() == ["outer"]

    await loco.wrap(all_of_them, agent_id="outer")
    assert defaults.released() == 1


# Async functions


async def test_function(defaults: Defaults) -> None:
    """All its arguments are its own, also those that are named like the decorator's."""
    defaults.configure(1)
    assert await function(3, timeout=0.5) == (3, 0.5, Caller("webhook"))
    assert await loco.get_scheduler().metrics.cost_by_agent() == {"webhook": 2.0}


async def test_function_that_fails(defaults: Defaults) -> None:
    """Its exception emerges, it is charged nothing, and the slot is free."""
    defaults.configure(1)

    @loco.scheduled("a")
    async def fail() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await fail()
    assert defaults.held() == []
    assert await loco.get_scheduler().metrics.total_cost() == 0.0


async def test_function_that_waits_in_vain(defaults: Defaults) -> None:
    """The decorator's timeout is for the slot."""
    defaults.configure(1)

    @loco.scheduled("late", timeout=0.02)
    async def late() -> None:
        pytest.fail("no slot is free")

    handle = await loco.get_scheduler().acquire_start("holder")
    with pytest.raises(AcquireTimeoutError):
        await late()
    await loco.get_scheduler().release_handle(handle)


# Types

TYPED = """
from collections.abc import AsyncIterator, Iterator
from typing import assert_type
import loco_redis as loco

@loco.scheduled(agent_id="a", weight=2.0)
async def function(payload: int, *, flag: bool = False) -> str: return ""
@loco.scheduled
async def bare(payload: int) -> str: return ""
@loco.scheduled("a")
async def generator(count: int) -> AsyncIterator[int]: yield count
@loco.scheduled()
def plain(count: int) -> Iterator[int]: yield count
class Service:
    @loco.scheduled("m")
    async def method(self, value: int) -> int: return value

async def work(value: int) -> str: return ""
def compute(value: int) -> bytes: return b""

async def main() -> None:
    assert_type(await function(1, flag=True), str)
    assert_type(await bare(1), str)
    assert_type(generator(1), AsyncIterator[int])
    assert_type(plain(1), Iterator[int])
    assert_type(await Service().method(1), int)
    assert_type(await loco.wrap(work, 1, agent_id="a"), str)
    assert_type(await loco.wrap(compute, 1, weight=2.0), bytes)
    await function("x")  # type: ignore[arg-type]
    await loco.wrap(7)  # type: ignore[call-overload]
    loco.scheduled(agent_id=7)  # type: ignore[call-overload]
"""


def test_types_are_kept(tmp_path: Path) -> None:
    """Type checkers see the decorated function's own type, and what a wrapped call gives."""
    program = tmp_path / "typed.py"
    program.write_text(TYPED)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={tmp_path}", str(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert checked.stdout == "Success: no issues found in 1 source file\n"
