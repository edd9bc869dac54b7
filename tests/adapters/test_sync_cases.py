"""The cases of `sync_cases.py`, and those of HTTP requests, whose clients time out."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import loco_redis
from loco_redis.testing.fake_provider import Reply
from tests.adapters.settled import causes
from tests.adapters.sync_cases import MIDDLE, TEXT, SyncCases
from tests.adapters.sync_scene import SyncScenes
from tests.adapters.sync_ways import WAYS
from tests.waiting import wait_until

pytestmark = pytest.mark.parametrize("kind", WAYS)


class TestCases(SyncCases):
    """Every way, every case."""


@pytest.mark.parametrize("after", [0, 1])
def test_broken_answer(sync_scenes: SyncScenes, after: int) -> None:
    """A connection that breaks before the answer or in it is the caller's error."""
    scene = sync_scenes()
    scene.provider.script(Reply(break_after=after))
    with pytest.raises(Exception) as caught:
        scene.way.call()
    assert "RemoteProtocolError" in [type(error).__name__ for error in causes(caught.value)]
    assert scene.released(slots=1) == (0, 0.0)


def test_broken_stream(sync_scenes: SyncScenes) -> None:
    """What had arrived before a stream broke is settled."""
    scene = sync_scenes()
    scene.provider.script(Reply(break_after=MIDDLE))
    seen: list[str] = []
    stream = scene.way.open()
    with pytest.raises(Exception, match="incomplete|onnection"):
        seen.extend(scene.way.texts(stream))
    scene.settled_early("".join(seen))


def test_timeout_in_flight(sync_scenes: SyncScenes) -> None:
    """Whose client gives up gives the slot back and pays nothing."""
    scene = sync_scenes()
    scene.provider.script(Reply(gate=threading.Event()), Reply(gate=threading.Event()))
    for call in (scene.way.call, scene.way.open):
        with pytest.raises(Exception, match="timed out"):
            call(timeout=0.1)
    assert scene.released(slots=2) == (0, 0.0)
    assert scene.provider.disconnects == 2


def test_timeout_in_a_stream(sync_scenes: SyncScenes) -> None:
    """A stream whose client gives up is settled at what had arrived."""
    scene = sync_scenes()
    scene.provider.script(Reply(gate=threading.Event(), gate_after=MIDDLE))
    seen: list[str] = []
    stream = scene.way.open(timeout=0.2)
    with pytest.raises(Exception, match="timed out"):
        seen.extend(scene.way.texts(stream))
    scene.settled_early("".join(seen))


def test_back_off(sync_scenes: SyncScenes) -> None:
    """While a call backs off after a 429 it holds no slot, and nobody in the fleet is granted."""
    scene, seconds = sync_scenes(max_retries=1), 0.4
    scene.provider.script(Reply(status=429, retry_after=seconds))
    with ThreadPoolExecutor(1) as thread:
        call = thread.submit(scene.way.call)
        wait_until(lambda: scene.provider.requests)
        now = scene.snapshot_when(lambda now: now.paused_for > 0 and now.held == 0)
        assert now.paused_for <= seconds
        assert len(scene.provider.requests) == 1
        assert call.result() == TEXT
    scene.settled(slots=2)


def test_whom_a_header_names(sync_scenes: SyncScenes) -> None:
    """It is the agent, whatever the context says."""
    scene = sync_scenes()
    with loco_redis.agent("of the context"):
        scene.way.call(extra_headers={"x-loco-agent": "of%20the%20header"})
    scene.settled(slots=1)
    each = scene.provider.reported[0].total_tokens
    by_agent = scene.scheduler.metrics.actual_tokens_by_agent()
    assert by_agent == {"of the header": each}
    assert not any("x-loco-agent" in request.headers for request in scene.provider.requests)
