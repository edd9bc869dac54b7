"""@scheduled on async generators: the slot is held from the first step to the end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

import loco_redis as loco
from loco_redis import LeaseLostError
from loco_redis.context import Caller, current
from tests.cancelling import cancel_everywhere
from tests.defaults import Defaults, defaults
from tests.waiting import eventually

__all__ = ["defaults"]


@loco.scheduled("webhook")
async def caller() -> Caller | None:
    """Who calls."""
    return current()


@loco.scheduled("stream")
async def generator(count: int) -> AsyncIterator[int]:
    """An async generator."""
    for number in range(count):
        yield number


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
            yield await caller()
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
