"""What holds for every plain way of a call: the cases of `async_cases.py` for threads, which cannot
be cancelled."""

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
from tests.waiting import wait_until

TEXT = Reply().text
MIDDLE = 6


class SyncCases:
    """Parametrize a subclass by its ways: `@pytest.mark.parametrize("kind", [...])`."""

    def test_plain(self, sync_scenes: SyncScenes) -> None:
        """A call has a slot, and is settled at what the provider says."""
        scene = sync_scenes()
        assert scene.way.call() == TEXT
        assert scene.way.call() == TEXT
        scene.settled(slots=2)

    def test_stream(self, sync_scenes: SyncScenes) -> None:
        """A stream has its slot until it has been read; then the next may come."""
        scene = sync_scenes()
        for _ in range(2):
            stream = scene.way.open()
            assert scene.scheduler.snapshot().held == (0 if scene.way.lazy else 1)
            texts = scene.way.texts(stream)
            first = next(texts)
            assert scene.scheduler.snapshot().held == 1
            assert first + "".join(texts) == TEXT
        scene.settled(slots=2)

    def test_error(self, sync_scenes: SyncScenes) -> None:
        """An error of the provider comes as without a scheduler, and costs nothing."""
        scene = sync_scenes()
        scene.provider.script(Reply(status=500), Reply(status=400))
        for call in scene.way.calls:
            with pytest.raises(scene.way.status_error):
                call()
        assert scene.released(slots=2) == (0, 0.0)

    def test_timeout_while_waiting(self, sync_scenes: SyncScenes) -> None:
        """A slot that does not come in time is an error, before anything is sent."""
        scene = sync_scenes(timeout=0.3)
        other = scene.scheduler.acquire_start("other")
        for call in scene.way.calls:
            with pytest.raises(Exception) as caught:
                call()
            assert AcquireTimeoutError in map(type, causes(caught.value))
            assert scene.way.wraps or type(caught.value) is AcquireTimeoutError
        other.lease.settle(0)
        scene.scheduler.release_handle(other)
        assert scene.provider.requests == []
        scene.settled(slots=1)

    def test_break_and_close(self, sync_scenes: SyncScenes) -> None:
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

    def test_break_and_drop(self, sync_scenes: SyncScenes) -> None:
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

    def test_never_iterated(self, sync_scenes: SyncScenes) -> None:
        """A stream that nobody reads or closes gives its slot back when it is dropped."""
        scene = sync_scenes()
        scene.provider.script(Reply(gate=threading.Event(), gate_after=MIDDLE))
        stream = scene.way.open()
        held = 0 if scene.way.lazy else 1
        assert scene.scheduler.snapshot().held == held
        del stream
        gc.collect()
        scene.released(slots=held)
        assert scene.provider.disconnects == held

    def test_crowd(self, sync_scenes: SyncScenes) -> None:
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

    def test_refusal(self, sync_scenes: SyncScenes) -> None:
        """A call over the budget is refused before anything is sent, and not tried again."""
        budget = BudgetPolicy(limits={AGENT: 0})
        scene = sync_scenes(max_retries=0 if sync_scenes.kind.wraps else 2, budget=budget)
        for call in scene.way.calls:
            with pytest.raises(Exception) as caught:
                call()
            assert BudgetExceededError in map(type, causes(caught.value))
            assert scene.way.wraps or type(caught.value) is BudgetExceededError
        assert scene.provider.requests == []
        scene.settled(slots=0)

    def test_in_a_slot_of_the_program(self, sync_scenes: SyncScenes) -> None:
        """Calls in a slot that the program holds use it, and are added up on it."""
        scene = sync_scenes()
        with scene.scheduler.acquire(AGENT):
            scene.way.call()
            assert "".join(scene.way.texts(scene.way.open())) == TEXT
        scene.settled(slots=1)

    def test_who_calls(self, sync_scenes: SyncScenes) -> None:
        """The agent is that of the context, else the adapter's."""
        scene = sync_scenes()
        scene.way.call()
        with loco_redis.agent("of the context"):
            scene.way.call()
        scene.settled(slots=2)
        each = scene.provider.reported[0].total_tokens
        by_agent = scene.scheduler.metrics.actual_tokens_by_agent()
        assert by_agent == {AGENT: each, "of the context": each}
