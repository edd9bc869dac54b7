"""@scheduled on plain functions and generators, which use the blocking scheduler."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import warnings
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import loco_redis as loco
from loco_redis import AcquireTimeoutError, LeaseLostError
from loco_redis.context import Caller, current
from tests.defaults import Defaults, defaults
from tests.waiting import eventually, wait_until

__all__ = ["defaults"]


@loco.scheduled("plain")
def plain_function(payload: int) -> tuple[int, Caller | None]:
    """A plain function."""
    return payload, current()


@loco.scheduled("plain")
def plain_generator(count: int) -> Iterator[int]:
    """A plain generator."""
    yield from range(count)


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
        return asyncio.sleep(0)

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
