"""A slot between ADK's callbacks before and after a model's call, with an end that is certain.

ADK calls neither of the latter when a call is cancelled or its stream is closed early.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from weakref import WeakKeyDictionary

from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.model_call import ModelCall
from loco_redis.adapters._calls.streams import AsyncStream
from loco_redis.adapters.adk._wording import Reading

_open: WeakKeyDictionary[asyncio.Task[Any], _Held] = WeakKeyDictionary()


class _Feed:
    """The answer as the callbacks tell of it."""

    def __init__(self) -> None:
        self.told: Any = None
        self.error: BaseException | None = None

    def __aiter__(self) -> _Feed:
        return self

    async def __anext__(self) -> Any:
        if self.error is not None:
            raise self.error
        if self.told is None:
            raise StopAsyncIteration
        told, self.told = self.told, None
        return told


class _Held:
    """A call under way. The slot is given back when this is dropped."""

    def __init__(self, feed: _Feed, stream: AsyncStream[Any], timer: asyncio.TimerHandle) -> None:
        self.feed, self.stream, self.timer = feed, stream, timer


class Callbacks:
    """Takes the slot before a call, and gives it back when its answer is told.

    Args:
        longest: seconds after which a slot is given back whatever happens.
    """

    def __init__(self, conductor: Conductor, longest: float) -> None:
        self._conductor, self._longest = conductor, longest

    async def begin(self, call: ModelCall) -> None:
        """Raises what `acquire` raises."""
        task = _task()
        let_go(task)  # an earlier call of this task, of whose end nobody has told
        feed = _Feed()
        stream = await self._conductor.stream(call, lambda: feed, Reading()).start()
        timer = asyncio.get_running_loop().call_later(self._longest, let_go, task)
        _open[task] = _Held(feed, stream, timer)
        task.add_done_callback(let_go)

    async def tell(self, response: Any) -> None:
        """A part of the answer, or all of it."""
        task = _task()
        held = _open.get(task)
        if held is None:
            return
        held.feed.told = response
        await anext(held.stream)
        if not response.partial:
            await anext(held.stream, None)
            let_go(task)

    async def fail(self, error: Exception) -> None:
        task = _task()
        held = _open.get(task)
        if held is None:
            return
        held.feed.error = error
        with contextlib.suppress(Exception):  # ADK raises it
            await anext(held.stream)
        let_go(task)


def let_go(task: asyncio.Task[Any] | None) -> None:
    """Forget the call of this task: if its answer has not been told, its slot is given back."""
    held = _open.pop(task, None) if task is not None else None
    if held is not None and task is not None:
        held.timer.cancel()
        task.remove_done_callback(let_go)


def _task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task
