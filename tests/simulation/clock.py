"""Virtual time: an agenda of what happens when, and event loops that turn only when told to.

Every simulated process has a `Loop` of its own, so that one can be frozen while the others go on.
Nothing here sleeps; the world moves `Clock.now` to the next moment at which anything happens.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import secrets
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any, TypeVar
from unittest import mock

T = TypeVar("T")

BEGIN = 1_000.0  # a monotonic clock begins anywhere


class Clock:
    """The time of a world, and its agenda."""

    def __init__(self) -> None:
        self.now = BEGIN
        self._agenda: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._order = itertools.count()

    def at(self, when: float, what: Callable[..., object], *args: Any) -> None:
        """Call `what` at that moment; what is due at the same one is called in order."""
        heapq.heappush(self._agenda, (max(when, self.now), next(self._order), what, args))

    def after(self, seconds: float, what: Callable[..., object], *args: Any) -> None:
        self.at(self.now + seconds, what, *args)

    @property
    def next(self) -> float:
        """When the agenda goes on."""
        return self._agenda[0][0] if self._agenda else float("inf")

    def advance(self, moment: float) -> None:
        """Move on to `moment`, and do what is due by then."""
        self.now = max(self.now, moment)
        while self._agenda and self._agenda[0][0] <= self.now:
            _, _, what, args = heapq.heappop(self._agenda)
            what(*args)


class Loop(asyncio.AbstractEventLoop):
    """An event loop without I/O. `turn` does what a turn of asyncio's own does: timers that are
    due join what is ready, and what is ready now is run.

    Attributes:
        stopped: runs nothing: its process is frozen, or dead.
        complaints: what tasks and callbacks raised that nobody handles.
        made: all futures and tasks that were made.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = itertools.count()
        self._fuse: tuple[int, Callable[[], None]] | None = None
        self.stopped = False
        self.complaints: list[str] = []
        self.made: list[asyncio.Future[Any]] = []

    def light(self, callbacks: int, what: Callable[[], None]) -> None:
        """Call `what` after so many more callbacks; at once if nothing runs."""
        if callbacks <= 0 or not self._ready:
            what()
        else:
            self._fuse = (callbacks, what)

    @property
    def next(self) -> float:
        """When there is something to run."""
        if self.stopped:
            return float("inf")
        if self._ready:
            return self._clock.now
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else float("inf")

    def turn(self) -> int:
        """Returns how many callbacks were run."""
        now = self._clock.now
        while self._timers and self._timers[0][0] <= now:
            self._ready.append(heapq.heappop(self._timers)[2])
        count = ran = len(self._ready)
        asyncio._set_running_loop(self)
        try:
            while count and not self.stopped:
                count -= 1
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()
                if self._fuse is not None:
                    self._burn()
        finally:
            asyncio._set_running_loop(None)
        return ran

    def _burn(self) -> None:
        assert self._fuse is not None
        left, what = self._fuse
        self._fuse = (left - 1, what)
        if left <= 1 or not self._ready:
            self._fuse = None
            what()

    # What asyncio asks of a loop

    def time(self) -> float:
        return self._clock.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._clock.now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._order), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Asked for by TimerHandle; a cancelled one is dropped when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.Future(loop=self)
        self.made.append(future)
        return future

    def create_task(
        self, coro: Coroutine[Any, Any, T], *, name: object = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=self, name=str(name or "task"), context=context)
        self.made.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.complaints.append(f"{context.get('message')}: {context.get('exception')!r}")


@contextmanager
def patched(clock: Clock, chance: Callable[[], random.Random]) -> Iterator[None]:
    """The client's own clock and its own chance are the world's while this lasts."""
    with (
        mock.patch.object(time, "monotonic", lambda: clock.now),  # noqa: PT008  it moves
        mock.patch.object(random, "uniform", lambda a, b: chance().uniform(a, b)),
        mock.patch.object(secrets, "choice", lambda values: chance().choice(values)),
    ):
        yield
