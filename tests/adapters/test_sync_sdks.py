"""Calls that only SDKs have, through each plain way of an SDK; see `test_async_sdks.py`."""

from __future__ import annotations

import threading

import pytest

from loco_redis.testing.fake_provider import Reply
from tests.adapters.asks import QUESTION, Verdict
from tests.adapters.sync_scene import SyncScenes
from tests.adapters.sync_ways import SDK_WAYS, AdaptedChat, TransportedChat

TEXT = Reply().text
VERDICT = Verdict(answer=4, reason="It is counted.")
MIDDLE = 6

each_sdk = pytest.mark.parametrize("kind", SDK_WAYS)


@each_sdk
def test_streaming_helper(sync_scenes: SyncScenes) -> None:
    """The SDK's own helper gathers the answer from a scheduled stream."""
    scene = sync_scenes()
    ask = scene.way.ask
    with scene.way.api.stream(**ask.arguments) as stream:
        assert scene.scheduler.snapshot().held == 1
        answer = getattr(stream, ask.final)()
    assert ask.text(answer.model_dump()) == TEXT
    scene.settled(slots=1)


@each_sdk
def test_streaming_helper_left_early(sync_scenes: SyncScenes) -> None:
    """Leaving its block early gives the slot back, and settles what had arrived."""
    scene = sync_scenes()
    scene.provider.script(Reply(gate=threading.Event(), gate_after=MIDDLE))
    with scene.way.api.stream(**scene.way.ask.arguments) as stream:
        next(stream)
    assert scene.scheduler.snapshot().held == 0
    assert scene.released(slots=1)[0] > 0


@each_sdk
def test_structured_output(sync_scenes: SyncScenes) -> None:
    """parse() is scheduled, and gives what it gives without a scheduler."""
    scene = sync_scenes()
    ask = scene.way.ask
    scene.provider.script(Reply(VERDICT.model_dump_json()))
    assert ask.parsed(scene.way.api.parse(**ask.arguments, **ask.structured)) == VERDICT
    scene.settled(slots=1)


@each_sdk
def test_raw_responses(sync_scenes: SyncScenes) -> None:
    """Raw and streaming responses are scheduled; an unread one is closed with its block."""
    scene = sync_scenes()
    ask, api = scene.way.ask, scene.way.api
    raw = api.with_raw_response.create(**ask.arguments)
    assert raw.headers["x-request-id"] == "req_000001"
    assert ask.text(raw.parse().model_dump()) == TEXT
    with api.with_streaming_response.create(**ask.arguments) as response:
        assert scene.scheduler.snapshot().held == 1
        assert ask.text(response.parse().model_dump()) == TEXT
    scene.settled(slots=2)
    with api.with_streaming_response.create(**ask.arguments) as response:
        assert response.status_code == 200
    assert scene.scheduler.snapshot().held == 0
    scene.released(slots=3)


@each_sdk
def test_copies_stay_scheduled(sync_scenes: SyncScenes) -> None:
    """with_options() and copy() give clients that take slots, too."""
    scene = sync_scenes()
    for client in (scene.way.client.with_options(timeout=5.0), scene.way.client.copy()):
        answer = scene.way.ask.of(client).create(**scene.way.ask.arguments)
        assert scene.way.ask.text(answer.model_dump()) == TEXT
    scene.settled(slots=2)


@pytest.mark.parametrize("kind", [AdaptedChat, TransportedChat])
def test_embeddings(sync_scenes: SyncScenes) -> None:
    """Embeddings are scheduled."""
    scene = sync_scenes()
    scene.way.client.embeddings.create(model="text-embedding-3-small", input=[QUESTION])
    scene.settled(slots=1)
