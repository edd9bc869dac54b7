"""What holds for each plain way of a call: the cases of `test_async_cases.py` for threads, which
cannot be cancelled, but whose clients time out."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import loco_redis
from loco_redis import AcquireTimeoutError, BudgetExceededError, BudgetPolicy
from loco_redis.testing.fake_provider import Reply
from tests.adapters.async_scene import AGENT
from tests.adapters.settled import causes
from tests.adapters.sync_scene import SyncScenes
from tests.adapters.sync_ways import WAYS
from tests.waiting import wait_until

pytestmark = pytest.mark.parametrize("kind", WAYS)

TEXT = Reply().text
MIDDLE = 6


def test_plain(sync_scenes: SyncScenes) -> None:
    """A call has a slot, and is settled at what the provider says."""
    scene = sync_scenes()
    assert scene.way.call() == TEXT
    assert scene.way.call() == TEXT
    scene.settled(slots=2)


def test_stream(sync_scenes: SyncScenes) -> None:
    """A stream has its slot until it has been read; then the next may come."""
    scene = sync_scenes()
    for _ in range(2):
        stream = scene.way.open()
        assert scene.scheduler.snapshot().held == 1
        assert "".join(scene.way.texts(stream)) == TEXT
    scene.settled(slots=2)


def test_error(sync_scenes: SyncScenes) -> None:
    """An error of the provider comes as without a scheduler, and costs nothing."""
    scene = sync_scenes()
    scene.provider.script(Reply(status=500), Reply(status=400))
    for call in (scene.way.call, scene.way.open):
        with pytest.raises(scene.way.status_error):
            call()
    assert scene.released(slots=2) == (0, 0.0)


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


def test_timeout_while_waiting(sync_scenes: SyncScenes) -> None:
    """A slot that does not come in time is an error, before anything is sent."""
    scene = sync_scenes(timeout=0.05)
    other = scene.scheduler.acquire_start("other")
    for call in (scene.way.call, scene.way.open):
        with pytest.raises(Exception) as caught:
            call()
        assert AcquireTimeoutError in map(type, causes(caught.value))
        assert scene.way.wraps or type(caught.value) is AcquireTimeoutError
    other.lease.settle(0)
    scene.scheduler.release_handle(other)
    assert scene.provider.requests == []
    scene.settled(slots=1)


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


def test_break_and_close(sync_scenes: SyncScenes) -> None:
    """A stream closed early gives its slot back at once, and is settled at what had arrived."""
    scene = sync_scenes()
    scene.provider.script(Reply(gate=threading.Event(), gate_after=MIDDLE))
    stream = scene.way.open()
    texts = scene.way.texts(stream)
    seen = next(texts)
    assert TEXT.startswith(seen)
    assert scene.scheduler.snapshot().held == 1
    scene.way.close(stream)
    assert scene.scheduler.snapshot().held == 0
    scene.settled_early(seen)
    assert scene.provider.disconnects == 1


def test_break_and_drop(sync_scenes: SyncScenes) -> None:
    """A stream that is left unread and forgotten gives its slot back."""
    scene = sync_scenes()
    scene.provider.script(Reply(gate=threading.Event(), gate_after=MIDDLE))
    stream = scene.way.open()
    texts = scene.way.texts(stream)
    seen = next(texts)
    assert TEXT.startswith(seen)
    assert scene.scheduler.snapshot().held == 1
    del stream, texts
    gc.collect()
    scene.settled_early(seen)
    assert scene.provider.disconnects == 1


def test_never_iterated(sync_scenes: SyncScenes) -> None:
    """A stream that nobody reads or closes gives its slot back when it is dropped."""
    scene = sync_scenes()
    scene.provider.script(Reply(gate=threading.Event(), gate_after=MIDDLE))
    stream = scene.way.open()
    assert scene.scheduler.snapshot().held == 1
    del stream
    gc.collect()
    scene.released(slots=1)
    assert scene.provider.disconnects == 1


def test_crowd(sync_scenes: SyncScenes) -> None:
    """Of many threads' calls never more than the capacity are at the provider."""
    scene, gate = sync_scenes(capacity=3), threading.Event()
    scene.provider.default = Reply(gate=gate)
    with ThreadPoolExecutor(12) as threads:
        calls = [threads.submit(scene.way.call) for _ in range(12)]
        wait_until(lambda: scene.provider.in_flight == 3)
        scene.snapshot_when(lambda now: now.waiting == 9)
        gate.set()
        assert [call.result() for call in calls] == [TEXT] * 12
    assert scene.provider.peak == 3
    scene.settled(slots=12)


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


def test_refusal(sync_scenes: SyncScenes) -> None:
    """A call over the budget is refused before anything is sent, and not tried again."""
    budget = BudgetPolicy(limits={AGENT: 0})
    scene = sync_scenes(max_retries=0 if sync_scenes.kind.wraps else 2, budget=budget)
    for call in (scene.way.call, scene.way.open):
        with pytest.raises(Exception) as caught:
            call()
        assert BudgetExceededError in map(type, causes(caught.value))
        assert scene.way.wraps or type(caught.value) is BudgetExceededError
    assert scene.provider.requests == []
    scene.settled(slots=0)


def test_who_calls(sync_scenes: SyncScenes) -> None:
    """The agent is that of the request's header, else of the context, else the default."""
    scene = sync_scenes()
    scene.way.call()
    with loco_redis.agent("of the context"):
        scene.way.call()
        scene.way.call(extra_headers={"x-loco-agent": "of%20the%20header"})
    scene.settled(slots=3)
    each = scene.provider.reported[0].total_tokens
    by_agent = scene.scheduler.metrics.actual_tokens_by_agent()
    assert by_agent == {AGENT: each, "of the context": each, "of the header": each}
    assert not any("x-loco-agent" in request.headers for request in scene.provider.requests)


def test_in_a_slot_of_the_program(sync_scenes: SyncScenes) -> None:
    """Calls in a slot that the program holds use it, and are added up on it."""
    scene = sync_scenes()
    with scene.scheduler.acquire(AGENT):
        scene.way.call()
        assert "".join(scene.way.texts(scene.way.open())) == TEXT
    scene.settled(slots=1)
