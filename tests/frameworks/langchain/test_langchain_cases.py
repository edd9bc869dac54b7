"""The cases of every way, on chat models of LangChain's integrations."""

from __future__ import annotations

import threading

import pytest

from loco_redis.testing.fake_provider import Reply
from tests.adapters.async_cases import MIDDLE, TEXT, AsyncCases
from tests.adapters.async_scene import Scenes
from tests.adapters.sync_cases import SyncCases
from tests.adapters.sync_scene import SyncScenes
from tests.frameworks.langchain.langchain_ways import ASYNC_WAYS, PLAIN_WAYS


@pytest.mark.parametrize("kind", ASYNC_WAYS)
class TestAsync(AsyncCases):
    """`ainvoke` and `astream`."""

    async def test_break_and_close(self, scenes: Scenes) -> None:
        """A stream closed early is settled at what had arrived. LangChain does not close the
        model's stream then, but drops it: its slot comes back a moment later."""
        scene = scenes()
        scene.provider.script(Reply(gate=threading.Event(), gate_after=MIDDLE))
        stream = await scene.way.open()
        seen = await anext(scene.way.texts(stream))
        assert TEXT.startswith(seen)
        assert (await scene.scheduler.snapshot()).held == 1
        await scene.way.close(stream)
        await scene.snapshot_when(lambda now: now.held == 0)
        await scene.settled_early(seen)
        assert scene.provider.disconnects == 1


@pytest.mark.parametrize("kind", PLAIN_WAYS)
class TestPlain(SyncCases):
    """`invoke` and `stream`."""

    def test_break_and_close(self, sync_scenes: SyncScenes) -> None:
        """As of the async ways."""
        scene = sync_scenes()
        scene.provider.script(Reply(gate=threading.Event(), gate_after=MIDDLE))
        stream = scene.way.open()
        seen = next(scene.way.texts(stream))
        assert TEXT.startswith(seen)
        assert scene.scheduler.snapshot().held == 1
        scene.way.close(stream)
        scene.snapshot_when(lambda now: now.held == 0)
        scene.settled_early(seen)
        assert scene.provider.disconnects == 1
