"""The cases of `async_cases.py`, and those of calls that are HTTP requests."""

from __future__ import annotations

import asyncio

import pytest

import loco_redis
from loco_redis.testing.fake_provider import Reply
from tests.adapters.async_cases import MIDDLE, TEXT, AsyncCases, read
from tests.adapters.async_scene import Scenes
from tests.adapters.async_ways import WAYS
from tests.adapters.settled import causes
from tests.waiting import eventually

pytestmark = pytest.mark.parametrize("kind", WAYS)


class TestCases(AsyncCases):
    """Every way, every case."""


@pytest.mark.parametrize("after", [0, 1])
async def test_broken_answer(scenes: Scenes, after: int) -> None:
    """A connection that breaks before the answer or in it is the caller's error."""
    scene = scenes()
    scene.provider.script(Reply(break_after=after))
    with pytest.raises(Exception) as caught:
        await scene.way.call()
    assert "RemoteProtocolError" in [type(error).__name__ for error in causes(caught.value)]
    assert await scene.released(slots=1) == (0, 0.0)


async def test_broken_stream(scenes: Scenes) -> None:
    """What had arrived before a stream broke is settled."""
    scene = scenes()
    scene.provider.script(Reply(break_after=MIDDLE))
    seen: list[str] = []
    stream = await scene.way.open()
    with pytest.raises(Exception, match="incomplete|onnection"):
        await read(scene.way.texts(stream), seen)
    await scene.settled_early("".join(seen))


async def test_back_off(scenes: Scenes) -> None:
    """While a call backs off after a 429 it holds no slot, and nobody in the fleet is granted."""
    scene, seconds = scenes(max_retries=1), 0.4
    scene.provider.script(Reply(status=429, retry_after=seconds))
    call = asyncio.create_task(scene.way.call())
    await eventually(lambda: scene.provider.requests)
    now = await scene.snapshot_when(lambda now: now.paused_for > 0 and now.held == 0)
    assert now.paused_for <= seconds
    assert len(scene.provider.requests) == 1
    assert await call == TEXT
    await scene.settled(slots=2)


async def test_whom_a_header_names(scenes: Scenes) -> None:
    """It is the agent, whatever the context says."""
    scene = scenes()
    with loco_redis.agent("of the context"):
        await scene.way.call(extra_headers={"x-loco-agent": "of%20the%20header"})
    await scene.settled(slots=1)
    each = scene.provider.reported[0].total_tokens
    by_agent = await scene.scheduler.metrics.actual_tokens_by_agent()
    assert by_agent == {"of the header": each}
    assert not any("x-loco-agent" in request.headers for request in scene.provider.requests)
