"""@scheduled: each kind of function stays of its kind, and holds a slot while it runs."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import loco_redis as loco
from loco_redis import AcquireTimeoutError, LeaseLostError
from loco_redis.context import Caller, current
from tests.cancelling import cancel_everywhere
from tests.defaults import Defaults, defaults
from tests.waiting import eventually, wait_until
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


# Async generators


async def test_generator_holds_its_slot_from_the_first_step_to_its_end(defaults: Defaults) -> None:
    """Not before it is iterated, and not after its last item."""
    defaults.configure(1)
    items = generator(2)
    assert defaults.sessions() == 0
    assert await anext(items) == 0
    assert defaults.held() == ["stream"]
    assert await anext(items) == 1
    assert defaults.held() == ["stream"]
    with pytest.raises(StopAsyncIteration):
        await anext(items)
    assert defaults.held() == []
    assert await loco.get_scheduler().metrics.total_cost() == 1.0


async def test_generator_that_is_never_iterated(defaults: Defaults) -> None:
    """It takes no slot; closing it is harmless."""
    defaults.configure(1)
    generator(1)
    await generator(1).aclose()
    gc.collect()
    assert defaults.sessions() == 0


async def test_consumer_may_take_slots_of_its_own(defaults: Defaults) -> None:
    """Between two items the generator's slot is not in the consumer's context, nor is its agent."""
    defaults.configure(2)
    with loco.agent("consumer"):
        async for _ in generator(3):
            assert current() == Caller("consumer")
            async with loco.get_scheduler().acquire("own"):
                assert defaults.held() == ["own", "stream"]
            await loco.wrap(asyncio.sleep, 0)
            async for _ in generator(1):
                assert defaults.held() == ["stream", "stream"]


async def test_inside_a_step_the_slot_is_there(defaults: Defaults) -> None:
    """What the generator calls uses its slot, and finds its agent."""
    defaults.configure(1)

    @loco.scheduled("stream")
    async def calling() -> AsyncIterator[Any]:
        try:
            yield await loco.wrap(lambda: current())
            yield (await function())[2]
        finally:
            seen.append(await loco.wrap(lambda: current()))

    seen: list[Any] = []
    with loco.agent("consumer", team="t"):
        async with aclosing(calling()) as items:
            assert await anext(items) == Caller("stream", team="t")
            assert await anext(items) == Caller("webhook", team="t")
            assert defaults.held() == ["stream"]
    assert seen == [Caller("stream", team="t")]
    assert defaults.released() == 1


@loco.scheduled("echo")
async def echo() -> AsyncIterator[Any]:
    """Yields what it is sent, and catches ValueErrors."""
    item: Any = "begin"
    while item != "end":
        try:
            item = yield item
        except ValueError as error:
            item = error


async def test_send_and_throw_reach_the_generator(defaults: Defaults) -> None:
    """asend, athrow and aclose are forwarded; what it does not catch emerges and frees the slot."""
    defaults.configure(1)
    items: Any = echo()
    assert await items.asend(None) == "begin"
    assert await items.asend(7) == 7
    error = ValueError("caught")
    assert await items.athrow(error) is error
    assert defaults.held() == ["echo"]
    with pytest.raises(KeyError, match="not caught"):
        await items.athrow(KeyError("not caught"))
    assert defaults.held() == []
    with pytest.raises(StopAsyncIteration):
        await anext(items)
    items = echo()
    await anext(items)
    with pytest.raises(StopAsyncIteration):
        await items.asend("end")
    assert defaults.held() == []


async def test_closed_generator(defaults: Defaults) -> None:
    """Its clean-up runs in its slot, then that is free; it is charged like one that has ended."""
    defaults.configure(1)
    seen: list[list[str]] = []

    @loco.scheduled("stream", weight=3.0)
    async def stream() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            seen.append(defaults.held())

    async with aclosing(stream()) as items:
        assert await anext(items) == 1
    assert seen == [["stream"]]
    assert defaults.held() == []
    assert await loco.get_scheduler().metrics.total_cost() == 3.0


async def test_generator_that_does_not_let_itself_be_closed(defaults: Defaults) -> None:
    """The error of Python emerges, and the slot is free."""
    defaults.configure(1)

    @loco.scheduled
    async def stubborn() -> AsyncIterator[int]:
        try:
            yield 1
        except GeneratorExit:
            yield 2

    items: Any = stubborn()
    await anext(items)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        await items.aclose()
    assert defaults.held() == []


async def test_dropped_generator(defaults: Defaults) -> None:
    """Broken off and forgotten, it is closed by the event loop: its slot comes back."""
    defaults.configure(1)
    async for _ in generator(5):
        break
    gc.collect()
    await eventually(lambda: not defaults.held())
    items = generator(5)
    await anext(items)
    del items
    gc.collect()
    await eventually(lambda: not defaults.held())
    assert [item async for item in generator(1)] == [0]


async def test_generator_that_fails(defaults: Defaults) -> None:
    """The exception emerges at that step; nothing is charged."""
    defaults.configure(1)

    @loco.scheduled("a", weight=4.0)
    async def fail() -> AsyncIterator[int]:
        yield 1
        raise KeyError("mine")

    items = fail()
    assert await anext(items) == 1
    with pytest.raises(KeyError, match="mine"):
        await anext(items)
    assert defaults.held() == []
    assert await loco.get_scheduler().metrics.total_cost() == 0.0


async def test_generator_cancelled_everywhere(defaults: Defaults) -> None:
    """At each suspension of its consumer: nothing is held afterwards."""
    defaults.configure(1)
    await loco.get_scheduler().snapshot()

    async def work() -> None:
        async with aclosing(generator(2)) as items:
            async for _ in items:
                await asyncio.sleep(0)

    async def is_free() -> None:
        await eventually(lambda: not defaults.held() and not defaults.waiting())

    assert await cancel_everywhere(work, is_free) >= 4


async def test_lost_between_two_steps(defaults: Defaults) -> None:
    """The next step closes the generator and raises LeaseLostError."""
    defaults.configure(1)
    closed = []

    @loco.scheduled
    async def stream() -> AsyncIterator[int]:
        try:
            yield 1
            pytest.fail("the slot is lost")
        finally:
            closed.append(True)

    items = stream()
    await anext(items)
    session = loco.get_scheduler()._session
    assert session is not None
    (lease,) = session.ledger.leases.values()
    defaults.server.client.flushall()
    await eventually(lambda: lease.lost)
    with pytest.raises(LeaseLostError):
        await anext(items)
    assert closed
    with pytest.raises(StopAsyncIteration):
        await anext(items)


async def test_lost_in_a_step(defaults: Defaults) -> None:
    """The step is cancelled, and raises LeaseLostError; its task goes on."""
    defaults.configure(1)

    @loco.scheduled
    async def stream() -> AsyncIterator[int]:
        yield 1
        defaults.server.client.flushall()
        await asyncio.Event().wait()

    with pytest.raises(LeaseLostError):
        async for _ in stream():
            pass
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    await asyncio.sleep(0)


async def test_lost_slot_that_only_warns(defaults: Defaults) -> None:
    """With on_lost="warn" the generator goes on to its end."""
    defaults.configure(1, on_lost="warn")

    @loco.scheduled
    async def stream() -> AsyncIterator[bool]:
        session = loco.get_scheduler()._session
        assert session is not None
        (lease,) = session.ledger.leases.values()
        yield lease.lost
        defaults.server.client.flushall()
        await eventually(lambda: lease.lost)
        yield lease.lost

    assert [lost async for lost in stream()] == [False, True]


async def test_generator_outlives_the_slot_that_it_shared(defaults: Defaults) -> None:
    """Begun inside a slot it uses that one; when that has ended, it takes one of its own."""
    defaults.configure(1)
    items = generator(3)
    async with loco.get_scheduler().acquire("outer"):
        assert await anext(items) == 0
        assert defaults.held() == ["outer"]
    assert defaults.held() == []
    assert await anext(items) == 1
    assert defaults.held() == ["stream"]
    assert [item async for item in items] == [2]
    assert defaults.held() == []


async def test_generator_iterated_by_several_tasks(defaults: Defaults) -> None:
    """Each step may be made by another task; no context keeps the slot."""
    defaults.configure(2)
    items = generator(3)

    async def step(expected: int) -> None:
        assert await anext(items) == expected
        async with loco.get_scheduler().acquire("own"):
            assert defaults.held() == ["own", "stream"]

    for expected in range(3):
        await asyncio.create_task(step(expected))
    assert [item async for item in items] == []


# Plain functions


def test_plain_function(defaults: Defaults) -> None:
    """It takes a slot of the blocking scheduler, and is charged nothing when it fails."""
    defaults.configure(1)

    @loco.scheduled("a", weight=2.0)
    def look(fails: bool = False) -> list[str]:
        if fails:
            raise KeyError("mine")
        return defaults.held()

    assert plain_function(7) == (7, Caller("plain"))
    assert look() == ["a"]
    with pytest.raises(KeyError, match="mine"):
        look(fails=True)
    assert defaults.held() == []
    costs = loco.get_blocking_scheduler().metrics.cost_by_agent()
    assert costs == {"plain": 1.0, "a": 2.0}
    assert list(map(loco.scheduled("b")(abs), [-1])) == [1]


async def test_plain_function_in_an_event_loop(defaults: Defaults) -> None:
    """It would block the loop: a RuntimeWarning names the remedy and the caller's line."""
    defaults.configure(1)
    with pytest.warns(RuntimeWarning, match=r"asyncio.to_thread\(plain_function, ...\)") as caught:
        assert plain_function(1)[0] == 1
    assert caught[0].filename == __file__
    with pytest.warns(RuntimeWarning, match="make it an async generator"):
        assert list(plain_generator(1)) == [0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning):
            plain_function(1)
        assert (await asyncio.to_thread(plain_function, 1))[0] == 1


async def test_cancelled_while_its_thread_runs(defaults: Defaults) -> None:
    """Who awaits the thread goes, the function does not: its slot is held until it ends."""
    defaults.configure(1)
    running, go = threading.Event(), threading.Event()

    @loco.scheduled("thread")
    def work() -> None:
        running.set()
        go.wait(10.0)

    task = asyncio.create_task(asyncio.to_thread(work))
    await eventually(running.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(AcquireTimeoutError):
        await loco.wrap(pytest.fail, "the slot is held", timeout=0.05)
    assert defaults.held() == ["thread"]
    go.set()
    await eventually(lambda: not defaults.held())


def test_plain_function_that_returns_what_runs_later(defaults: Defaults) -> None:
    """An awaitable or a generator would run without the slot: TypeError, and it is ended."""
    defaults.configure(1)

    @loco.scheduled
    @functools.lru_cache  # hides that the function is async
    def hidden() -> Awaitable[Any]:
        return function()

    @loco.scheduled
    def items() -> Iterator[int]:
        return (number for number in range(3))

    with pytest.raises(TypeError, match=r"hidden is a plain function that returns an awaitable"):
        hidden()
    with pytest.raises(TypeError, match=r"items returns a generator"):
        items()
    assert defaults.held() == []
    assert loco.get_blocking_scheduler().metrics.total_cost() == 0.0


async def test_plain_function_that_returns_a_future(defaults: Defaults) -> None:
    """The future is cancelled."""
    defaults.configure(1)
    future = asyncio.get_running_loop().create_future()

    @loco.scheduled
    def hidden() -> Any:
        return future

    with pytest.warns(RuntimeWarning), pytest.raises(TypeError, match="returns an awaitable"):
        hidden()
    assert future.cancelled()


def test_plain_function_whose_slot_is_lost(defaults: Defaults) -> None:
    """A thread cannot be cancelled: LeaseLostError is raised when it is done."""
    defaults.configure(1)

    @loco.scheduled
    def work() -> None:
        scheduler = loco.get_blocking_scheduler()
        defaults.server.client.flushall()
        wait_until(lambda: not scheduler._core._session.ledger.leases)

    with pytest.raises(LeaseLostError):
        work()


def test_plain_functions_in_many_threads(defaults: Defaults) -> None:
    """They share one scheduler, and never more run than there are slots."""
    defaults.configure(2)
    lock, inside, peak = threading.Lock(), 0, 0

    @loco.scheduled
    def work(_: int) -> None:
        nonlocal inside, peak
        with lock:
            inside += 1
            peak = max(peak, inside)
        with lock:
            inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(80)))
    assert peak <= 2
    assert (defaults.released(), defaults.sessions()) == (80, 1)


# Plain generators


def test_plain_generator(defaults: Defaults) -> None:
    """It holds its slot from the first step to its end; between two, the consumer may take one."""
    defaults.configure(2)
    items = plain_generator(2)
    assert defaults.sessions() == 0
    assert next(items) == 0
    assert current() is None
    with loco.get_blocking_scheduler().acquire("own"):
        assert defaults.held() == ["own", "plain"]
    assert plain_function(1)[0] == 1
    assert list(items) == [1]
    assert defaults.held() == []


def test_plain_generator_is_sent_to(defaults: Defaults) -> None:
    """send, throw and the value that it returns pass through."""
    defaults.configure(1)

    @loco.scheduled("echo")
    def echo() -> Any:
        item: Any = current()
        while item != "end":
            try:
                item = yield item
            except ValueError as error:
                item = error
        return "result"

    items = echo()
    assert next(items) == Caller("echo")
    assert items.send(7) == 7
    error = ValueError("caught")
    assert items.throw(error) is error
    with pytest.raises(StopIteration) as ended:
        items.send("end")
    assert ended.value.value == "result"
    items = echo()
    next(items)
    with pytest.raises(KeyError):
        items.throw(KeyError())
    assert defaults.held() == []
    assert loco.get_blocking_scheduler().metrics.total_cost() == 1.0


def test_closed_or_dropped_plain_generator(defaults: Defaults) -> None:
    """Its clean-up runs, and the slot comes back; who asks after a close() finds it free."""
    defaults.configure(1)
    closed = []

    @loco.scheduled("items")
    def items() -> Iterator[int]:
        try:
            yield 1
        finally:
            closed.append(current())

    first: Any = items()
    next(first)
    first.close()
    with loco.get_blocking_scheduler().acquire("next", timeout=0):
        pass
    for _ in items():
        break
    wait_until(lambda: not defaults.held())
    cycle: list[Any] = [items()]
    next(cycle[0])
    cycle.append(cycle)
    del cycle
    gc.collect()
    wait_until(lambda: not defaults.held())
    assert closed == [Caller("items")] * 3


def test_plain_generator_whose_slot_is_lost(defaults: Defaults) -> None:
    """The next step closes it and raises LeaseLostError."""
    defaults.configure(1)
    items = plain_generator(3)
    next(items)
    session = loco.get_blocking_scheduler()._core._session
    assert session is not None
    (lease,) = session.ledger.leases.values()
    defaults.server.client.flushall()
    wait_until(lambda: lease.lost)
    with pytest.raises(LeaseLostError):
        next(items)
    with pytest.raises(StopIteration):
        next(items)


def test_plain_generator_inside_a_slot(defaults: Defaults) -> None:
    """It shares the slot that its thread holds, and takes one when that has ended."""
    defaults.configure(1)
    items = plain_generator(2)
    with loco.get_blocking_scheduler().acquire("outer"):
        assert next(items) == 0
        assert defaults.held() == ["outer"]
    assert list(items) == [1]
    assert defaults.released() == 2


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
