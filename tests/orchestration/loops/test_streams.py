"""However a stream ends, nothing of it is left: no slot, no task, and it is closed."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from loco_redis import LeaseLostError
from loco_redis.orchestration.loops.loop import AsyncAgentLoop, AsyncLoopConfig
from tests.orchestration.loops.work import Work
from tests.schedulers import NAME, Schedulers
from tests.waiting import eventually


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture(params=["local", "fleet"])
async def loop(
    request: pytest.FixtureRequest, schedulers: Schedulers, work: Work
) -> AsyncIterator[AsyncAgentLoop]:
    """One slot; after the test it is free, no stream is open and no task runs."""
    config = AsyncLoopConfig(max_concurrency=1, timeout_seconds=10)
    scheduler = schedulers(1) if request.param == "fleet" else None
    loop = AsyncAgentLoop(config, scheduler)
    yield loop
    gc.collect()
    await eventually(lambda: not _streaming())
    assert work.running == 0
    assert work.closed == work.calls
    assert "0 running" in repr(loop)
    result = await asyncio.wait_for(loop.run_single("next", work.echo, "free"), 5)
    assert result.output == "free"


async def _read(items: AsyncIterator[int], seen: list[int], pause: float = 0) -> None:
    async for item in items:
        seen.append(item)
        await asyncio.sleep(pause)


def _streaming() -> list[str]:
    return [t.get_name() for t in asyncio.all_tasks() if t.get_name() == "loco_redis.stream"]


async def test_a_stream_is_read_to_its_end(loop: AsyncAgentLoop, work: Work) -> None:
    """All items, in order."""
    assert [item async for item in loop.run_streaming("a", work.stream)] == [0, 1, 2]
    assert work.closed == 1
    assert loop.get_latency_stats()["count"] == 1


async def test_an_empty_stream(loop: AsyncAgentLoop, work: Work) -> None:
    """Holds its slot for a moment."""
    assert [item async for item in loop.run_streaming("a", lambda: work.stream(0))] == []


async def test_a_stream_is_left_by_break(loop: AsyncAgentLoop, work: Work) -> None:
    """The event loop closes it soon."""
    async for item in loop.run_streaming("a", work.stream):
        assert item == 0
        break
    await eventually(lambda: work.closed == 1)


async def test_a_stream_is_closed(loop: AsyncAgentLoop, work: Work) -> None:
    """All is given back when `aclose` returns; again it does nothing."""
    async with aclosing(loop.run_streaming("a", work.stream)) as items:
        assert await anext(items) == 0
    assert work.closed == 1
    assert _streaming() == []
    await items.aclose()


async def test_a_stream_that_was_not_begun_holds_nothing(loop: AsyncAgentLoop, work: Work) -> None:
    """Not even its function is called."""
    items = loop.run_streaming("a", work.stream)
    await items.aclose()
    loop.run_streaming("b", work.stream)
    assert work.calls == 0


async def test_a_stream_is_dropped(loop: AsyncAgentLoop, work: Work) -> None:
    """Also as part of a cycle, which only the garbage collector ends."""
    items = loop.run_streaming("a", work.stream)
    await anext(items)
    del items
    await eventually(lambda: work.closed == 1)
    cycle: list[object] = [loop.run_streaming("a", work.stream)]
    await anext(cycle[0])  # type: ignore[call-overload]
    cycle.append(cycle)
    del cycle
    gc.collect()
    await eventually(lambda: work.closed == 2)


async def test_a_stream_fails(loop: AsyncAgentLoop, work: Work) -> None:
    """After its last item; the consumer gets the very error, once."""
    error, seen = OSError("broken"), list[int]()
    with pytest.raises(OSError, match="broken") as caught:
        await _read(loop.run_streaming("a", lambda: work.stream(2, error)), seen)
    assert caught.value is error
    assert seen == [0, 1]
    assert work.calls == 1  # not retried


async def test_the_consumer_fails(loop: AsyncAgentLoop, work: Work) -> None:
    """Its own error is what is raised."""

    async def consume() -> None:
        async with aclosing(loop.run_streaming("a", work.stream)) as items:
            async for _ in items:
                raise KeyError("mine")

    with pytest.raises(KeyError):
        await consume()
    assert work.closed == 1


@pytest.mark.parametrize("after", [0, 1])
async def test_the_consumer_is_cancelled(loop: AsyncAgentLoop, work: Work, after: int) -> None:
    """While it waits for an item: the stream is cancelled, too, and closed before it goes on."""
    got = 0

    async def stuck() -> AsyncIterator[int]:
        work.calls += 1
        work.running += 1
        try:
            for item in range(after):
                yield item
            await work.gate.wait()
        finally:
            await asyncio.sleep(0)
            work.running -= 1
            work.closed += 1

    async def consume() -> None:
        nonlocal got
        async for _ in loop.run_streaming("a", stuck):
            got += 1

    task = asyncio.create_task(consume())
    await eventually(lambda: work.running == 1 and got == after)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.closed == 1
    assert _streaming() == []


async def test_the_consumer_is_cancelled_while_waiting_for_a_slot(
    loop: AsyncAgentLoop, work: Work
) -> None:
    """Its request is withdrawn; the stream was never opened."""
    holder = asyncio.create_task(loop.run_single("holder", work.wait))
    await eventually(lambda: work.running == 1)

    async def consume() -> None:
        async for _ in loop.run_streaming("a", work.stream):
            pass

    task = asyncio.create_task(consume())
    await eventually(lambda: len(_streaming()) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    work.gate.set()
    assert (await holder).output == "through"
    work.calls -= 1  # the holder's
    assert work.calls == 0


async def test_a_slow_stream_times_out(loop: AsyncAgentLoop, work: Work) -> None:
    """`timeout_seconds` is for all waiting together; the consumer's own time does not count."""
    loop.config = AsyncLoopConfig(timeout_seconds=0.1)

    async def slow() -> AsyncIterator[int]:
        for item in range(100):
            await asyncio.sleep(0.02)
            yield item

    seen: list[int] = []
    with pytest.raises(TimeoutError, match=r"the stream took more than 0.1 s"):
        await _read(loop.run_streaming("a", slow), seen, 0.05)
    assert 1 <= len(seen) <= 5


async def test_an_idle_stream_times_out(loop: AsyncAgentLoop, work: Work) -> None:
    """`idle_timeout_seconds` is for each item."""
    loop.config = AsyncLoopConfig(idle_timeout_seconds=0.1)

    async def stops() -> AsyncIterator[int]:
        for item in range(20):
            await asyncio.sleep(0.01)
            yield item
        await asyncio.Event().wait()

    seen: list[int] = []
    with pytest.raises(TimeoutError, match=r"the stream brought nothing for 0.1 s"):
        await _read(loop.run_streaming("a", stops), seen)
    assert seen == [*range(20)]


async def test_a_timeout_of_the_streams_own_is_passed_on(loop: AsyncAgentLoop, work: Work) -> None:
    """Not taken for the loop's."""
    with pytest.raises(TimeoutError, match="mine"):
        await _read(loop.run_streaming("a", lambda: work.stream(1, TimeoutError("mine"))), [])


async def test_a_stream_never_runs_ahead(loop: AsyncAgentLoop, work: Work) -> None:
    """An item is made when it is asked for."""
    made = []

    async def count() -> AsyncIterator[int]:
        for item in range(3):
            made.append(item)
            yield item

    async with aclosing(loop.run_streaming("a", count)) as items:
        for item in range(3):
            assert await anext(items) == item
            await asyncio.sleep(0.005)
            assert made == [*range(item + 1)]


async def test_a_stream_lives_in_one_task(loop: AsyncAgentLoop, work: Work) -> None:
    """Whoever asks for its items, and whoever closes it: so it may use timeouts inside."""
    tasks = set()

    async def watchful() -> AsyncIterator[int]:
        async with asyncio.timeout(5):
            try:
                for item in range(3):
                    tasks.add(asyncio.current_task())
                    yield item
            finally:
                tasks.add(asyncio.current_task())

    items = loop.run_streaming("a", watchful)
    for item in range(2):
        assert await asyncio.create_task(items.__anext__()) == item  # type: ignore[arg-type]
    await asyncio.create_task(items.aclose())  # type: ignore[arg-type]
    assert len(tasks) == 1


async def test_another_slot_between_items_is_refused(loop: AsyncAgentLoop, work: Work) -> None:
    """With one slot it would wait for itself; after the stream has been left it may."""
    async with aclosing(loop.run_streaming("a", work.stream)) as items:
        async for _ in items:
            result = await loop.run_single("b", work.echo)
            assert result.error is not None
            assert result.error.startswith("ReentrantAcquireError")
            break
    work.closed += (await loop.run_single("b", work.echo)).success


async def test_a_stream_that_will_not_end_is_left(
    loop: AsyncAgentLoop, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    """One that swallows its cancellation is not asked for more; what it raises then is logged."""

    async def stubborn() -> AsyncIterator[int]:
        yield 0
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            yield 1
        finally:
            raise OSError("at the end")

    items = loop.run_streaming("a", stubborn)
    assert await anext(items) == 0
    waiting = asyncio.create_task(items.__anext__())  # type: ignore[arg-type]
    await asyncio.sleep(0.01)
    waiting.cancel()
    with caplog.at_level(logging.WARNING), pytest.raises(asyncio.CancelledError):
        await waiting
    assert "the stream of agent 'a' failed as it ended: OSError('at the end')" in caplog.text


class Client:
    """A client's stream: an iterable that is closed by `close`."""

    def __init__(self, work: Work) -> None:
        self._work = work
        work.calls += 1

    async def __aiter__(self) -> AsyncIterator[str]:
        yield "word"
        yield "another"

    async def close(self) -> None:
        self._work.closed += 1


@pytest.mark.parametrize("items", [1, 9])
async def test_streams_of_clients_are_closed(loop: AsyncAgentLoop, work: Work, items: int) -> None:
    """One that a coroutine returns, with a `close` method, as OpenAI's is."""

    async def create() -> Client:
        return Client(work)

    seen = []
    async with aclosing(loop.run_streaming("a", create)) as stream:
        async for item in stream:
            seen.append(item)
            if len(seen) == items:
                break
    assert seen == ["word", "another"][:items]


async def test_what_is_no_stream_is_refused(loop: AsyncAgentLoop, work: Work) -> None:
    """Bad arguments at once, a bad return value when it is there."""
    with pytest.raises(ValueError, match="agent id must not be empty"):
        loop.run_streaming("", work.stream)
    with pytest.raises(ValueError, match="stream_fn must be a function"):
        loop.run_streaming("a", work.stream())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"the stream function returned \[1\]: it must be"):
        await _read(loop.run_streaming("a", lambda: [1]), [])  # type: ignore[arg-type, return-value]


async def test_a_lost_lease_ends_a_stream(schedulers: Schedulers, work: Work) -> None:
    """Between two items and while one is awaited: the consumer gets LeaseLostError, not more."""
    scheduler = schedulers(1)
    loop = AsyncAgentLoop(scheduler=scheduler)
    items = loop.run_streaming("a", work.stream)
    assert await anext(items) == 0
    [holder] = (await scheduler.snapshot()).holders
    await scheduler.operations.release(holder.token)
    await eventually(lambda: work.closed == 1)
    with pytest.raises(LeaseLostError, match=NAME):
        await anext(items)
