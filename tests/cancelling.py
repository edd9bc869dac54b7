"""Cancelling a coroutine at a chosen suspension."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any


class CancelAt:
    """Runs a coroutine and cancels its task at the k-th suspension, counted from 1.

    Early: before what it awaits is done. Late: in the very turn in which that is done, when the
    result is there but the coroutine has not seen it.
    """

    def __init__(self, work: Coroutine[Any, Any, Any], k: int, late: bool) -> None:
        self._work, self._k, self._late = work, k, late
        self.suspensions = 0

    def __await__(self) -> Generator[Any, None, Any]:
        inner = self._work.__await__()
        task = asyncio.current_task()
        assert task is not None
        error: BaseException | None = None
        while True:
            try:
                awaited = inner.send(None) if error is None else inner.throw(error)
            except StopIteration as stop:
                return stop.value
            error = None
            self.suspensions += 1
            if self.suspensions == self._k:
                if self._late and awaited is not None:
                    awaited.add_done_callback(lambda _: task.cancel())
                else:
                    task.cancel()
            try:
                yield awaited
            except BaseException as caught:  # noqa: BLE001  handed on to the coroutine
                error = caught


async def cancel_everywhere(
    make: Callable[[], Coroutine[Any, Any, Any]],
    after_each: Callable[[], Coroutine[Any, Any, None]],
) -> int:
    """Cancel `make()` at each of its suspensions, early and late; CancelledError must emerge each
    time. Returns how many suspensions there are."""
    for late in (False, True):
        for k in range(1, 1000):
            cancelling = CancelAt(make(), k, late)
            task = asyncio.ensure_future(_await(cancelling))
            await asyncio.wait([task])
            await after_each()
            if cancelling.suspensions < k:
                await task  # it ran to its end
                break
            # In the last turn of all, the cancellation may come too late to be noticed.
            if not (late and cancelling.suspensions == k and not task.cancelled()):
                assert task.cancelled(), f"swallowed at suspension {k}, late={late}: {task}"
    return k - 1


async def _await(cancelling: CancelAt) -> Any:
    return await cancelling
