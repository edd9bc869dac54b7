"""The slot of a generator: held from its first step to its end.

A generator runs in the context of whoever iterates it. So the lease is in the context during each
step only: between two, the consumer may take a slot of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from loco_redis._acquisition import AcquireHandle, was_interrupted
from loco_redis.blocking import BlockingHandle
from loco_redis.context import agent
from loco_redis.errors import LeaseLostError, ShutdownError
from loco_redis.lease import BaseLease, in_context
from loco_redis.shortcuts._defaults import defaults
from loco_redis.shortcuts._terms import Terms

T = TypeVar("T")


class AsyncSlot:
    """Taken at the first `step`; `end` it."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._handle: AcquireHandle | None = None

    async def step(self, make: Callable[[], Awaitable[T]]) -> T:
        """Make one step of the generator.

        Raises:
            LeaseLostError: before the step or, when that is cancelled for it, in it.
        """
        await self._hold()
        lease = self._own
        if lease is None:
            return await self._inside(make)
        if lease.lost and self._scheduler._cancels:
            raise lease._error()
        error: BaseException | None = None
        body = asyncio.current_task()
        assert body is not None
        lease._watch(body)
        try:
            return await self._inside(make)
        except BaseException as caught:
            error = caught
            raise
        finally:
            lease._body = None
            if lease._interruption and was_interrupted(lease, error):
                raise lease._error() from error

    async def end(
        self, close: Callable[[], Awaitable[Any]], error: BaseException | None = None
    ) -> None:
        """Close the generator in its slot, then give that back. One that its consumer has closed is
        charged like one that came to its end."""
        try:
            await self._inside(close)
        except BaseException as late:
            error = late
            raise
        finally:
            if self._handle is not None:
                with _quiet(error):
                    await self._scheduler.release_handle(self._handle, _failure(error))

    @property
    def _own(self) -> BaseLease | None:
        handle = self._handle
        return None if handle is None or handle.shared else handle.lease

    async def _hold(self) -> None:
        if self._handle is None:
            self._caller = self._terms.caller()
        elif not _is_over(self._handle):
            return
        terms, caller = self._terms, self._caller
        self._scheduler = defaults.scheduler()
        self._handle = await self._scheduler.acquire_start(
            caller.agent_id, caller.task(terms.weight), timeout=terms.timeout, nested="share"
        )

    async def _inside(self, make: Callable[[], Awaitable[T]]) -> T:
        if self._handle is None:
            return await make()
        with agent.of(self._caller), _in_context(self._own):
            return await make()


class BlockingSlot:
    """The same in threads, whose steps are not cancelled."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._handle: BlockingHandle | None = None

    def step(self, make: Callable[[], T]) -> T:
        """Raises LeaseLostError when the slot was lost before the step."""
        self._hold()
        lease = self._own
        if lease is not None and lease.lost and self._scheduler._core._cancels:
            raise lease._error()
        return self._inside(make)

    def end(self, close: Callable[[], Any], error: BaseException | None = None) -> None:
        try:
            self._inside(close)
        except BaseException as late:
            error = late
            raise
        finally:
            if self._handle is not None:
                self._release(self._handle, error)

    def _release(self, handle: BlockingHandle, error: BaseException | None) -> None:
        if isinstance(error, GeneratorExit):
            # Perhaps it is the garbage collector that closes it, in whatever thread: do not wait.
            self._scheduler._thread.start_soon(handle._holding.leave, None)
            return
        with _quiet(error):
            self._scheduler.release_handle(handle, error)

    @property
    def _own(self) -> BaseLease | None:
        handle = self._handle
        return None if handle is None or handle.shared else handle.lease

    def _hold(self) -> None:
        if self._handle is None:
            self._caller = self._terms.caller()
        elif not _is_over(self._handle):
            return
        terms, caller = self._terms, self._caller
        self._scheduler = defaults.blocking_scheduler()
        self._handle = self._scheduler.acquire_start(
            caller.agent_id, caller.task(terms.weight), timeout=terms.timeout, nested="share"
        )

    def _inside(self, make: Callable[[], T]) -> T:
        if self._handle is None:
            return make()
        with agent.of(self._caller), _in_context(self._own):
            return make()


def _is_over(handle: AcquireHandle | BlockingHandle) -> bool:
    """An outer slot was shared, and its holder has left it meanwhile."""
    return handle.shared and (handle.lease.released or handle.lease.lost)


def _in_context(lease: BaseLease | None) -> contextlib.AbstractContextManager[None]:
    """None: a shared one, which is there already."""
    return contextlib.nullcontext() if lease is None else in_context(lease)


def _failure(error: BaseException | None) -> BaseException | None:
    return None if isinstance(error, GeneratorExit) else error


def _quiet(error: BaseException | None) -> contextlib.AbstractContextManager[None]:
    """What giving back may say is no news to whoever has an error, or wants no more."""
    if error is None:
        return contextlib.nullcontext()
    return contextlib.suppress(LeaseLostError, ShutdownError)
