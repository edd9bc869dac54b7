"""A stream that runs in a task of its own, which holds a slot for it."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Generic, NamedTuple, TypeVar, cast

from loco_redis import _validate as validate
from loco_redis.orchestration.loops._slots import Held

T = TypeVar("T")
#: Called without arguments: an async generator function, or what returns (or awaits) a stream.
StreamFunction = Callable[[], AsyncIterable[T] | Awaitable[AsyncIterable[T]]]

_log = logging.getLogger("loco_redis")
_END = object()
# Until they end: an event loop has only weak references to its tasks, and a consumer that drops its
# generator together with this must not take the task with it before it has closed the stream.
_tasks: set[asyncio.Task[None]] = set()


class Patience(NamedTuple):
    """Seconds to wait for a stream's items, in all and for each; None: for ever."""

    total: float | None
    each: float | None

    def left(self, used: float) -> float | None:
        """For the next item, `used` having been waited before."""
        if self.total is None or self.each is None:
            return self.each if self.total is None else self.total - used
        return min(self.total - used, self.each)

    def late(self, used: float) -> TimeoutError:
        """What is raised when `left` has passed."""
        if self.each is not None and self.left(used) == self.each:
            return TimeoutError(f"the stream brought nothing for {self.each:g} s")
        return TimeoutError(f"the stream took more than {self.total:g} s")


class Stream(Generic[T]):
    """Hands over an item each time it is asked for one; never runs ahead of its consumer.

    The stream is opened, read and closed in one task, because what it uses (timeouts, cancel
    scopes, a lease that is lost) may only be left where it was entered. A consumer may go on in
    other tasks, and its generator is closed by yet another when it was dropped.

    Args:
        ended: called with the seconds that the slot was held.
    """

    def __init__(
        self,
        agent_id: str,
        open_stream: StreamFunction[T],
        held: Held,
        patience: Patience,
        ended: Callable[[float], None],
    ) -> None:
        self._agent_id, self._open, self._held = agent_id, open_stream, held
        self._patience, self._ended = patience, ended
        self._used = 0.0  # seconds waited for the stream
        self._task: asyncio.Task[None] | None = None
        self._item: asyncio.Future[Any] | None = None  # what the consumer waits for
        self._more: asyncio.Future[None] | None = None  # what the stream's task waits for
        self._closing = self._told = False  # told: the consumer has got the error, if there is one

    async def next(self) -> T:
        """The next item; StopAsyncIteration after the last. Raises what the stream raises."""
        loop = asyncio.get_running_loop()
        if self._task is not None and self._task.done():  # ended between two items: a lost lease
            self._told = True
            await self._task
            raise StopAsyncIteration
        self._item = loop.create_future()
        if self._task is None:
            self._task = loop.create_task(self._run(), name="loco_redis.stream")
            _tasks.add(self._task)
            self._task.add_done_callback(_tasks.discard)
            self._task.add_done_callback(self._tell_end)
        elif self._more is not None and not self._more.done():
            self._more.set_result(None)
        try:
            item = await self._item
        finally:
            self._item = None
        if item is _END:
            raise StopAsyncIteration
        return item  # type: ignore[no-any-return]  # the future holds an item or _END

    async def aclose(self) -> None:
        """The stream is closed and its slot free when this returns; if it is cancelled, soon."""
        task, self._closing = self._task, True
        if task is None:
            return
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._told:
            _log.warning("the stream of agent %r failed as it ended: %r", self._agent_id, error)

    def _tell_end(self, task: asyncio.Task[None]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if self._item is None or self._item.done():
            return
        if error is None:
            self._item.set_result(_END)
        else:
            self._told = True
            self._item.set_exception(error)

    async def _run(self) -> None:
        async with self._held.acquired(self._agent_id):
            since = time.perf_counter()
            try:
                await self._read()
            finally:
                self._ended(time.perf_counter() - since)

    async def _read(self) -> None:
        async with self._limited():
            stream = await _opened(self._open)
        items = aiter(stream)
        try:
            while True:
                async with self._limited():
                    item = await anext(items, _END)
                if item is _END or self._closing:  # closing: it has swallowed its cancellation
                    return
                self._more = asyncio.get_running_loop().create_future()
                if self._item is not None and not self._item.done():
                    self._item.set_result(item)
                del item
                await self._more
        finally:
            await _close(items)
            if items is not stream:  # as those of clients
                await _close(stream)

    @asynccontextmanager
    async def _limited(self) -> AsyncIterator[None]:
        """For the time that is left for the next item."""
        since, scope = time.perf_counter(), asyncio.timeout(self._patience.left(self._used))
        try:
            async with scope:
                yield
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise self._patience.late(self._used) from error
        finally:
            self._used += time.perf_counter() - since


async def _opened(open_stream: StreamFunction[T]) -> AsyncIterable[T]:
    made = open_stream()
    if not hasattr(made, "__aiter__") and inspect.isawaitable(made):
        made = await made
    if not hasattr(made, "__aiter__"):
        raise TypeError(
            f"the stream function returned {validate.shown(made)}: it must be an async generator "
            "function, or return something to be read by `async for`"
        )
    return cast(AsyncIterable[T], made)


async def _close(part: object) -> None:
    close = getattr(part, "aclose", None) or getattr(part, "close", None)
    if close is not None and inspect.isawaitable(closed := close()):
        await closed
