"""A scheduler that ends with its event loop, without anybody closing it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from concurrent.futures import Future
from contextvars import Context
from types import AsyncGeneratorType
from typing import cast

from loco_redis._session import Session
from loco_redis.scheduler import AsyncLOCOScheduler

_GRACE = 1.0  # seconds for those who were cancelled or closed to give back their slots
_PATIENCE = 0.05  # between looks at a loop that may stop without a word


class LoopScheduler:
    """Keeps a scheduler for the running loop, and closes it when that ends: when all tasks are
    cancelled, as asyncio.run does, or when the loop shuts its async generators down.

    Attributes:
        scheduler: the one to use.
        loop: where it is used.
    """

    def __init__(self, scheduler: AsyncLOCOScheduler) -> None:
        self.scheduler = scheduler
        self.loop = asyncio.get_running_loop()
        self._ended: Future[None] = Future()
        self._generator = cast(AsyncGeneratorType[None, None], self._until_shutdown())
        # Its first step does not wait; the loop gets to know it there.
        with contextlib.suppress(StopIteration):
            self._generator.__anext__().send(None)
        self._watch()

    @property
    def in_use(self) -> bool:
        return not (self.loop.is_closed() or self.scheduler._closed)

    def renew(self, scheduler: AsyncLOCOScheduler) -> None:
        """The scheduler was closed by somebody else: go on with another. In the loop's thread."""
        self.scheduler = scheduler
        if self._keeper.done():
            self._watch()

    async def aclose(self) -> None:
        """Close it for good. In its loop; a body that calls this is not cancelled by it."""
        await self.scheduler.aclose()
        if not self._generator.ag_running:  # else the loop does it at this moment
            await self._generator.aclose()

    async def aclose_elsewhere(self) -> None:
        """The same from another loop. One that does not run closes it when it runs again."""
        try:
            self.loop.call_soon_threadsafe(self._close_soon)
        except RuntimeError:
            return  # the loop is closed: nothing can be done in it
        ended = asyncio.wrap_future(self._ended)
        while self.loop.is_running() and not ended.done():
            await asyncio.wait([ended], timeout=_PATIENCE)

    def _close_soon(self) -> None:
        self._closing = self.loop.create_task(self.aclose(), name="loco_redis.ending")

    def _watch(self) -> None:
        # In a context of its own: it outlives whoever happens to be the first to need a scheduler.
        self._keeper = Context().run(
            self.loop.create_task, self._until_cancelled(), name="loco_redis.keeper"
        )

    async def _until_shutdown(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            try:
                self._keeper.cancel()
                await asyncio.wait([self._keeper])
                if (session := self.scheduler._session) is not None:
                    # Other generators are closed at this moment, and give back their slots.
                    await session.until_idle(_GRACE)
                await self.scheduler.aclose()
            finally:
                self._ended.set_result(None)

    async def _until_cancelled(self) -> None:
        try:
            await self.loop.create_future()
        finally:
            session = self.scheduler._session
            if session is not None and session._closing is None:
                await _await_cancelled(session)
            if session is None or session.ledger.idle:
                await self.scheduler.aclose()


async def _await_cancelled(session: Session) -> None:
    """Whoever was cancelled gives back its slot."""
    bodies = [lease._body for lease in session.ledger.leases.values()]
    if ending := [body for body in bodies if body is not None and body.cancelling()]:
        await asyncio.wait(ending, timeout=_GRACE)
