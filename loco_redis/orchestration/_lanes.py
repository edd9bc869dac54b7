"""Serving so many tasks of a backlog at once, one after the other in each lane."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from loco_redis._tasks import UNWINDING, end
from loco_redis.errors import BackendError, BackpressureError, EvictedError, LeaseLostError
from loco_redis.lease import Lease

if TYPE_CHECKING:
    from loco_redis.scheduler import AsyncLOCOScheduler

_PAUSE_FIRST, _PAUSE_MOST = 0.1, 5.0  # between attempts to reach Redis

_log = logging.getLogger("loco_redis")


class Lanes:
    """`run` serves until it is cancelled or `drain`ed; `resize` changes the number of lanes.

    Args:
        handle: is given each lease, and must not raise for what its task does.
        on_begin: called when a lane has got a task.
        on_end: called with its lease once what became of it is in Redis.
    """

    def __init__(
        self,
        scheduler: AsyncLOCOScheduler,
        handle: Callable[[Lease], Awaitable[None]],
        on_begin: Callable[[], None] = lambda: None,
        on_end: Callable[[Lease], None] = lambda lease: None,
    ) -> None:
        self._scheduler, self._handle = scheduler, handle
        self._on_begin, self._on_end = on_begin, on_end
        self._lanes: set[asyncio.Task[None]] = set()
        self._idle: set[asyncio.Task[None]] = set()  # those of them that wait for a task
        self._leaving: set[asyncio.Task[None]] = set()  # cancelled: there were too many
        self._target, self._numbers = 0, 0
        self.draining = False
        self._over = asyncio.Event()
        self._error: BaseException | None = None

    def __repr__(self) -> str:
        return f"<Lanes {len(self)} of {self._target}, {self.busy} busy>"

    def __len__(self) -> int:
        return len(self._lanes)

    @property
    def busy(self) -> int:
        """Tasks at work."""
        return len(self._lanes) - len(self._idle)

    def resize(self, count: int) -> None:
        """Lanes that are too many leave now if they wait for a task, else after it."""
        self._target = count
        while len(self._lanes) < count and not self.draining:
            self._numbers += 1
            lane = asyncio.create_task(self._lane(), name=f"loco_redis.lane.{self._numbers}")
            self._lanes.add(lane)
            lane.add_done_callback(self._ended)
        for lane in [*self._idle][: max(0, len(self._lanes) - count)]:
            self._dismiss(lane)

    async def run(self) -> None:
        """Raises what waiting will not mend, such as ShutdownError or ConfigMismatchError."""
        try:
            await self._over.wait()
        finally:
            await asyncio.gather(
                end(*self._idle, *self._leaving),
                end(*self._lanes - self._idle, patience=UNWINDING),
            )
        if self._error is not None:
            raise self._error

    async def drain(self, grace: float, hurry: asyncio.Event | None = None) -> None:
        """Take no more tasks; those at work have `grace` seconds to end, or until `hurry` is set.
        `run` cancels the rest."""
        self.draining = True
        for lane in [*self._idle]:
            self._dismiss(lane)
        hurrying = asyncio.create_task((hurry or asyncio.Event()).wait(), name="loco_redis.hurry")
        until = asyncio.get_running_loop().time() + grace
        while self._lanes and not hurrying.done():
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                break
            waiting = [*self._lanes, hurrying]
            await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        await end(hurrying)
        self._over.set()

    def _dismiss(self, lane: asyncio.Task[None]) -> None:
        """One that waits for a task; what it is granted this very moment is given back."""
        self._idle.discard(lane)
        self._lanes.discard(lane)
        self._leaving.add(lane)
        lane.cancel()

    def _ended(self, lane: asyncio.Task[None]) -> None:
        self._lanes.discard(lane)
        self._leaving.discard(lane)
        if not lane.cancelled() and (error := lane.exception()) is not None:
            self._error = self._error or error
            self._over.set()

    async def _lane(self) -> None:
        pause, lane = _PAUSE_FIRST, asyncio.current_task()
        assert lane is not None
        while not self.draining and len(self._lanes) <= self._target:
            self._idle.add(lane)
            try:
                async with self._scheduler.serve() as lease:
                    self._idle.discard(lane)
                    self._on_begin()
                    pause = _PAUSE_FIRST
                    await self._handle(lease)
                self._on_end(lease)
            except LeaseLostError as error:
                _log.warning("a task was taken away while it ran: %s", error)
            except EvictedError as error:
                _log.info("an operator ended the wait for a task: %s", error)
            except ValueError as error:
                _log.warning("a task could not be read, and has failed: %s", error)
            except (BackendError, BackpressureError) as error:
                _log.warning("serving %r pauses: %s", self._scheduler.name, error)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, _PAUSE_MOST)
            finally:
                self._idle.discard(lane)
