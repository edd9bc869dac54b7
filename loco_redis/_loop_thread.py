"""An event loop in a thread of its own, and a way for other threads to have it run coroutines."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from loco_redis.errors import BackendError, ShutdownError

T = TypeVar("T")
_WIND_UP_TIMEOUT = 1.0

Undo = Callable[[], Coroutine[Any, Any, None]]


class LoopThread:
    """Runs coroutines for other threads. The thread starts when it is needed, until `end`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._exiting = self._ended = False

    def start(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._ended:
                raise ShutdownError(self._name)
            if self._thread is None:
                try:
                    self._loop = asyncio.new_event_loop()
                except OSError as error:
                    raise BackendError(f"no event loop can be made: {error}") from error
                self._thread = threading.Thread(
                    target=self._turn, name=f"loco_redis.{self._name}", daemon=True
                )
                self._thread.start()
        if threading.current_thread() is self._thread:
            raise RuntimeError(
                "a blocking call from a callback would wait for itself: make the callback async "
                "or hand the work to a thread"
            )
        return self._loop

    def run(
        self, work: Coroutine[Any, Any, T], *, undo: Undo | None = None, finish: bool = False
    ) -> T:
        """The result of `work`. When the waiting thread is interrupted (KeyboardInterrupt), the
        work is cancelled or, if it was done by then, undone; with `finish` it goes on."""
        try:
            loop = self.start()
        except BaseException:  # an interrupt, or no descriptors for a loop
            work.close()
            raise
        try:
            return run_in(loop, work, undo=undo, finish=finish)
        finally:
            if self._exiting and threading.current_thread() is not threading.main_thread():
                threading.Event().wait()

    def exiting(self) -> None:
        """The process is at its end. All threads that are left are daemons, which Python will not
        let go on; those that wait here do not go on already now, so that they need not hear, and
        complain, that everything is closed."""
        self._exiting = True

    def start_soon(self, make: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """Run a coroutine that nobody waits for; nothing once the thread has ended. May be called
        anywhere, also by the garbage collector."""
        with contextlib.suppress(RuntimeError):
            if self._thread is not None:
                job = _Job(make(*args), Future(), None)
                self._loop.call_soon_threadsafe(job.start)

    @property
    def running(self) -> bool:
        return self._thread is not None

    def stop(self) -> None:
        """End the thread; it starts again when it is needed."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()

    def end(self) -> None:
        """Stop for good: whoever leaves a body a moment too late must not start it again."""
        with self._lock:
            self._ended = True
        self.stop()

    def _turn(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        loop.run_forever()
        loop.run_until_complete(_wind_up())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _wind_up() -> None:
    """Whoever waits for a job gets its outcome: what the end of the scheduler has ended needs a few
    turns more to say so."""
    jobs = asyncio.all_tasks() - {asyncio.current_task()}
    if jobs:
        _, left = await asyncio.wait(jobs, timeout=_WIND_UP_TIMEOUT)
        for job in left:
            job.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def run_in(
    loop: asyncio.AbstractEventLoop,
    work: Coroutine[Any, Any, T],
    *,
    undo: Undo | None = None,
    finish: bool = False,
) -> T:
    """The result of `work` in the loop of another thread; as `LoopThread.run`."""
    outcome: Future[T] = Future()
    job = _Job(work, outcome, undo)
    loop.call_soon_threadsafe(job.start)
    try:
        return outcome.result()
    except BaseException:
        if not finish:
            with contextlib.suppress(RuntimeError):  # closed meanwhile: nothing goes on
                loop.call_soon_threadsafe(job.abandon)
        raise


class _Job:
    """One coroutine; all methods run in the loop's thread, so they need no lock."""

    def __init__(
        self,
        work: Coroutine[Any, Any, Any],
        outcome: Future[Any],
        undo: Undo | None,
    ) -> None:
        self._work, self._outcome, self._undo = work, outcome, undo

    def start(self) -> None:
        self._task = asyncio.ensure_future(self._work)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self._outcome.cancel()
        elif error := task.exception():
            self._outcome.set_exception(error)
        else:
            self._outcome.set_result(task.result())

    def abandon(self) -> None:
        if not self._task.done():
            self._task.cancel()
        elif self._undo is not None and not self._task.cancelled() and not self._task.exception():
            self._undoing = asyncio.ensure_future(self._undo())
