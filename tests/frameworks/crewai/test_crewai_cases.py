"""The cases of every way, through CrewAI. It reads streams itself, inside of a call, so that nobody
can leave one, and the cases of that have no meaning here."""

from __future__ import annotations

import asyncio
import threading

import pytest
from crewai.events import LLMStreamChunkEvent, crewai_event_bus

from loco_redis.testing.fake_provider import Reply
from tests.adapters.async_cases import MIDDLE, TEXT, AsyncCases
from tests.adapters.async_scene import Scenes
from tests.adapters.sync_cases import SyncCases
from tests.adapters.sync_scene import SyncScenes
from tests.frameworks.crewai.crewai_ways import ACalled, Called, Run
from tests.waiting import eventually


class _Whole(SyncCases):
    test_break_and_close = None  # type: ignore[assignment]
    test_break_and_drop = None  # type: ignore[assignment]
    test_never_iterated = None  # type: ignore[assignment]

    def test_stream(self, sync_scenes: SyncScenes) -> None:
        """A call that streams has its slot until it has been read."""
        scene = sync_scenes()
        for _ in range(2):
            assert "".join(scene.way.open()) == TEXT
        scene.settled(slots=2)


@pytest.mark.parametrize("kind", [Called])
class TestPlain(_Whole):
    """LLMs, asked alone."""


@pytest.mark.parametrize("kind", [Run])
class TestCrews(_Whole):
    """Crews in plain code."""


@pytest.mark.parametrize("kind", [ACalled])
class TestAsync(AsyncCases):
    """LLMs, asked alone in an event loop."""

    test_break_and_close = None  # type: ignore[assignment]
    test_break_and_drop = None  # type: ignore[assignment]
    test_never_iterated = None  # type: ignore[assignment]

    async def test_stream(self, scenes: Scenes) -> None:
        """A call that streams has its slot until it has been read."""
        scene = scenes()
        for _ in range(2):
            assert "".join(await scene.way.open()) == TEXT
        await scene.settled(slots=2)

    async def test_cancelled_in_a_stream(self, scenes: Scenes) -> None:
        """It is settled at what had arrived."""
        scene = scenes()
        scene.provider.script(Reply(gate=threading.Event(), gate_after=MIDDLE))
        seen: list[str] = []
        with crewai_event_bus.scoped_handlers():
            crewai_event_bus.on(LLMStreamChunkEvent)(lambda _, event: seen.append(event.chunk))
            reader = asyncio.create_task(scene.way.open())
            await eventually(lambda: seen)
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader
        await scene.settled_early("".join(seen))
