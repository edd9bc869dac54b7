"""Plain code's way to a scheduler of an event loop: from other threads, into its loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from loco_redis._loop_thread import Undo, run_in
from loco_redis.errors import ShutdownError
from loco_redis.scheduler import AsyncLOCOScheduler

T = TypeVar("T")


class LoopOf:
    """As `LoopThread`, for the loop in which a scheduler was opened."""

    def __init__(self, scheduler: AsyncLOCOScheduler) -> None:
        self._scheduler = scheduler

    def run(
        self, work: Coroutine[Any, Any, T], *, undo: Undo | None = None, finish: bool = False
    ) -> T:
        """As `LoopThread.run`.

        Raises:
            RuntimeError: the scheduler was not opened, or this is its loop.
            ShutdownError: its loop is closed.
        """
        try:
            loop = self._loop()
        except BaseException:
            work.close()
            raise
        return run_in(loop, work, undo=undo, finish=finish)

    def start_soon(self, make: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """As `LoopThread.start_soon`."""
        session = self._scheduler._session
        if session is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and its leases with it
                session.loop.call_soon_threadsafe(lambda: _keep(session.loop, make(*args)))

    def _loop(self) -> asyncio.AbstractEventLoop:
        scheduler = self._scheduler
        session = scheduler._session
        if session is None:
            raise RuntimeError(
                f"a plain call needs {scheduler!r} to be open: enter it by `async with`, or use a "
                "LOCOScheduler"
            )
        if session.loop.is_closed():
            raise ShutdownError(scheduler.name)
        if asyncio._get_running_loop() is session.loop:
            raise RuntimeError(
                "a plain call in the event loop would wait for itself: await the async call, run "
                "this one by asyncio.to_thread, or use a LOCOScheduler"
            )
        return session.loop


_running: set[asyncio.Task[None]] = set()  # the loops keep weak references only


def _keep(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
    task = loop.create_task(work, name="loco_redis.call")
    _running.add(task)
    task.add_done_callback(_running.discard)
