"""What holds for every async way of a call: it waits for a slot, and leaves nothing behind, however
it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

import loco_redis
from loco_redis import AcquireTimeoutError, BudgetExceededError, BudgetPolicy
from loco_redis.testing.fake_provider import Reply
from tests.adapters.async_scene import AGENT, Scenes
from tests.adapters.settled import causes
from tests.waiting import eventually

TEXT = Reply().text
#: Some of the text has been sent by then, for each form of API.
MIDDLE = 6


async def read(texts: AsyncIterator[str], seen: list[str]) -> None:
    async for text in texts:
        seen.append(text)


class AsyncCases:
    """Parametrize a subclass by its ways: `@pytest.mark.parametrize("kind", [...])`."""

    async def test_plain(self, scenes: Scenes) -> None:
        """A call has a slot, and is settled at what the provider says."""
        scene = scenes()
        assert await scene.way.call() == TEXT
        assert await scene.way.call() == TEXT
        await scene.settled(slots=2)

    async def test_stream(self, scenes: Scenes) -> None:
        """A stream has its slot until it has been read; then the next may come."""
        scene = scenes()
        for _ in range(2):
            stream = await scene.way.open()
            assert (await scene.scheduler.snapshot()).held == (0 if scene.way.lazy else 1)
            texts = scene.way.texts(stream)
            first = await anext(texts)
            assert (await scene.scheduler.snapshot()).held == 1
            assert first + "".join([text async for text in texts]) == TEXT
        await scene.settled(slots=2)

    async def test_error(self, scenes: Scenes) -> None:
        """An error of the provider comes as without a scheduler, and costs nothing."""
        scene = scenes()
        scene.provider.script(Reply(status=500), Reply(status=400))
        for call in scene.way.calls:
            with pytest.raises(scene.way.status_error):
                await call()
        assert await scene.released(slots=2) == (0, 0.0)

    async def test_cancelled_while_waiting(self, scenes: Scenes) -> None:
        """Who stops waiting for a slot leaves the queue; nothing is sent."""
        scene = scenes()
        other = await scene.scheduler.acquire_start("other")
        calls = [asyncio.create_task(call()) for call in scene.way.calls]
        await scene.snapshot_when(lambda now: now.waiting == 2)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        assert all(call.cancelled() for call in calls)
        await scene.snapshot_when(lambda now: now.waiting == 0)
        await other.lease.settle(0)
        await scene.scheduler.release_handle(other)
        assert scene.provider.requests == []
        await scene.settled(slots=1)

    async def test_timeout_while_waiting(self, scenes: Scenes) -> None:
        """A slot that does not come in time is an error, before anything is sent."""
        scene = scenes(timeout=0.3)
        other = await scene.scheduler.acquire_start("other")
        for call in scene.way.calls:
            with pytest.raises(Exception) as caught:
                await call()
            assert AcquireTimeoutError in map(type, causes(caught.value))
            assert scene.way.wraps or type(caught.value) is AcquireTimeoutError
        await other.lease.settle(0)
        await scene.scheduler.release_handle(other)
        assert scene.provider.requests == []
        await scene.settled(slots=1)

    async def test_cancelled_in_flight(self, scenes: Scenes) -> None:
        """Who stops waiting for an answer gives the slot back and pays nothing."""
        scene = scenes()
        scene.provider.script(Reply(gate=threading.Event()), Reply(gate=threading.Event()))
        for call in scene.way.calls:
            waiting = asyncio.create_task(call())
            await eventually(lambda: scene.provider.in_flight == 1)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await eventually(lambda: scene.provider.in_flight == 0)
        assert await scene.released(slots=2) == (0, 0.0)
        assert scene.provider.disconnects == 2

    async def test_cancelled_in_a_stream(self, scenes: Scenes) -> None:
        """A stream whose reader is cancelled and closes it is settled at what had arrived."""
        scene = scenes()
        scene.provider.script(Reply(gate=threading.Event(), gate_after=MIDDLE))
        seen: list[str] = []

        async def reading() -> None:
            stream = await scene.way.open()
            try:
                await read(scene.way.texts(stream), seen)
            finally:
                await scene.way.close(stream)

        reader = asyncio.create_task(reading())
        await eventually(lambda: len(seen) > 0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        await scene.settled_early("".join(seen))

    async def test_break_and_close(self, scenes: Scenes) -> None:
        """A stream closed early gives its slot back at once, and is settled at what had arrived."""
        scene = scenes()
        scene.provider.script(Reply(gate=threading.Event(), gate_after=MIDDLE))
        stream = await scene.way.open()
        texts = scene.way.texts(stream)
        seen = await anext(texts)
        assert TEXT.startswith(seen)
        assert (await scene.scheduler.snapshot()).held == 1
        await scene.way.close(stream)
        assert (await scene.scheduler.snapshot()).held == 0
        await scene.settled_early(seen)
        assert scene.provider.disconnects == 1

    async def test_break_and_drop(self, scenes: Scenes) -> None:
        """A stream that is left unread and forgotten gives its slot back."""
        scene = scenes()
        scene.provider.script(Reply(gate=threading.Event(), gate_after=MIDDLE))
        stream = await scene.way.open()
        texts = scene.way.texts(stream)
        seen = await anext(texts)
        assert TEXT.startswith(seen)
        assert (await scene.scheduler.snapshot()).held == 1
        del stream, texts
        await scene.collected()
        await scene.settled_early(seen)
        assert scene.provider.disconnects == 1

    async def test_never_iterated(self, scenes: Scenes) -> None:
        """A stream that nobody reads or closes gives its slot back when it is dropped."""
        scene = scenes()
        scene.provider.script(Reply(gate=threading.Event(), gate_after=MIDDLE))
        stream = await scene.way.open()
        held = 0 if scene.way.lazy else 1
        assert (await scene.scheduler.snapshot()).held == held
        del stream
        await scene.collected()
        await scene.released(slots=held)
        assert scene.provider.disconnects == held

    async def test_crowd(self, scenes: Scenes) -> None:
        """Of many calls of one agent never more than the capacity are at the provider."""
        scene, gate = scenes(capacity=3), threading.Event()
        scene.provider.default = Reply(gate=gate)
        calls = [asyncio.create_task(scene.way.call()) for _ in range(12)]
        await eventually(lambda: scene.provider.in_flight == 3)
        await scene.snapshot_when(lambda now: now.waiting == 9)
        gate.set()
        assert await asyncio.gather(*calls) == [TEXT] * 12
        assert scene.provider.peak == 3
        await scene.settled(slots=12)

    async def test_refusal(self, scenes: Scenes) -> None:
        """A call over the budget is refused before anything is sent, and not tried again."""
        budget = BudgetPolicy(limits={AGENT: 0})
        scene = scenes(max_retries=0 if scenes.kind.wraps else 2, budget=budget)
        for call in scene.way.calls:
            with pytest.raises(Exception) as caught:
                await call()
            assert BudgetExceededError in map(type, causes(caught.value))
            assert scene.way.wraps or type(caught.value) is BudgetExceededError
        assert scene.provider.requests == []
        await scene.settled(slots=0)

    async def test_in_a_slot_of_the_program(self, scenes: Scenes) -> None:
        """Calls in a slot that the program holds use it, and are added up on it."""
        scene = scenes()
        async with scene.scheduler.acquire(AGENT):
            await scene.way.call()
            stream = await scene.way.open()
            assert "".join([text async for text in scene.way.texts(stream)]) == TEXT
        await scene.settled(slots=1)

    async def test_who_calls(self, scenes: Scenes) -> None:
        """The agent is that of the context, else the adapter's."""
        scene = scenes()
        await scene.way.call()
        with loco_redis.agent("of the context"):
            await scene.way.call()
        await scene.settled(slots=2)
        each = scene.provider.reported[0].total_tokens
        by_agent = await scene.scheduler.metrics.actual_tokens_by_agent()
        assert by_agent == {AGENT: each, "of the context": each}
