"""The cases of every way, through LiteLLM."""

from __future__ import annotations

import gc
import threading

import pytest

from loco_redis.testing.fake_provider import Reply
from tests.adapters.async_cases import MIDDLE, AsyncCases
from tests.adapters.async_scene import Scenes
from tests.adapters.sync_cases import SyncCases
from tests.adapters.sync_scene import SyncScenes
from tests.frameworks.litellm.litellm_ways import (
    Claude,
    Functions,
    PlainClaude,
    PlainFunctions,
    PlainRouted,
    Routed,
)


@pytest.mark.parametrize("kind", [Functions, Routed])
class TestAsync(AsyncCases):
    """Async calls."""


@pytest.mark.parametrize("kind", [PlainFunctions, PlainRouted])
class TestPlain(SyncCases):
    """Plain calls."""


@pytest.mark.parametrize("kind", [Claude])
class TestClaude(AsyncCases):
    """Async calls of Anthropic, whose responses LiteLLM reads by itself."""

    async def test_never_iterated(self, scenes: Scenes) -> None:
        """A stream that nobody reads or closes gives its slot back when it is dropped. The response
        is out of reach until LiteLLM has begun to read it: it goes on."""
        scene, gate = scenes(), threading.Event()
        scene.provider.script(Reply(gate=gate, gate_after=MIDDLE))
        stream = await scene.way.open()
        del stream
        await scene.snapshot_when(lambda now: gc.collect() >= 0 and now.held == 0)
        gate.set()
        await scene.released(slots=1)


@pytest.mark.parametrize("kind", [PlainClaude])
class TestPlainClaude(SyncCases):
    """The same of plain calls."""

    def test_never_iterated(self, sync_scenes: SyncScenes) -> None:
        """As above."""
        scene, gate = sync_scenes(), threading.Event()
        scene.provider.script(Reply(gate=gate, gate_after=MIDDLE))
        stream = scene.way.open()
        del stream
        scene.snapshot_when(lambda now: gc.collect() >= 0 and now.held == 0)
        gate.set()
        scene.released(slots=1)
