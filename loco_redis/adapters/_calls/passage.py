"""A call's time in its slot: from just before the request goes out until its answer is closed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from threading import Lock
from typing import Any

from loco_redis._acquisition import AcquireHandle
from loco_redis.adapters._calls.call import Call
from loco_redis.adapters._calls.loop_of import LoopOf
from loco_redis.blocking import LOCOScheduler
from loco_redis.errors import LeaseLostError, LocoRedisError, ShutdownError
from loco_redis.lease import Lease, in_context
from loco_redis.scheduler import AsyncLOCOScheduler

_log = logging.getLogger("loco_redis")
_PATIENCE = 1.0  # seconds
_adding = Lock()
_under_way: set[asyncio.Task[None]] = set()  # the loops keep weak references only

#: The leases under which a request is on its way in this context.
_on_their_way: ContextVar[tuple[Lease, ...]] = ContextVar("loco_redis_on_their_way", default=())


class ProviderError(Exception):
    """The provider answered by an HTTP error of this `status`. Callers get the SDK's own error;
    this is what `on_task_completed` is told."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"HTTP {status}")


class Passage:
    """`begin` takes the slot, `end` settles and gives it back; each once, in the scheduler's loop.

    Inside a slot that the program holds, that one is used, and what its calls cost adds up on it.

    Attributes:
        covered: a layer above conducts this very call: there is nothing to do here.
    """

    def __init__(self, scheduler: AsyncLOCOScheduler, call: Call) -> None:
        self._scheduler, self.call = scheduler, call
        self._handle: AcquireHandle | None = None
        self._pausing: asyncio.Task[None] | None = None
        self._ended = False
        self.covered = False

    async def begin(self) -> None:
        """Wait for the slot. Whatever is raised, nothing is held then."""
        call = self.call
        handle = await self._scheduler.acquire_start(
            call.agent_id, call.task(), timeout=call.options.timeout, nested="share"
        )
        self._handle, self._loop = handle, asyncio.get_running_loop()
        self.covered = any(lease is handle.lease for lease in _on_their_way.get())
        if self.covered:
            return
        try:
            if handle.lease.downgraded and call.downgrade() and not handle.shared:
                handle.lease._task = call.task()  # its cost is that of the model that is used
            call.ask_usage()
        except BaseException as error:
            await self.end(error)
            raise

    @contextmanager
    def in_context(self) -> Iterator[None]:
        """While the request goes out, layers below see the slot."""
        handle = self._held
        above = _on_their_way.set((*_on_their_way.get(), handle.lease))
        try:
            with nullcontext() if handle.shared else in_context(handle.lease):
                yield
        finally:
            _on_their_way.reset(above)

    def pause(self, seconds: float) -> None:
        """The provider wants to be left alone: tell the fleet. `end` waits for it, as only a holder
        may."""
        lease = self._held.lease
        self._pausing = _start(_on_its_loop(lease, lease._throttled(seconds)))

    def check(self) -> None:
        """Raises LeaseLostError when somebody else may have the slot (`on_lost="cancel"`)."""
        lease = self._held.lease
        if lease.lost and self._scheduler._cancels:
            raise lease._error()

    async def end(self, error: BaseException | None = None) -> None:
        """Settle, and give the slot back; `error` is what ended the call. Raises nothing: whoever
        waits for this has the answer. It goes on when the caller is cancelled."""
        if self._ended or self._handle is None:
            return
        self._ended = True
        if error is None and self.call.failed:
            error = ProviderError(self.call.status)
        await _patiently(self._give_back(self._handle, error))

    async def _give_back(self, handle: AcquireHandle, error: BaseException | None) -> None:
        try:
            if self._pausing is not None:
                await self._pausing
            if not self.covered:
                await self._settle(handle)
        finally:
            try:
                await self._scheduler.release_handle(handle, error)
            except LeaseLostError as lost:
                _log.warning("a call of %r went on without its slot: %s", self.call.agent_id, lost)

    async def _settle(self, handle: AcquireHandle) -> None:
        call = self.call
        try:
            bill = call.bill()
        except Exception:  # noqa: BLE001  prices may be the user's own, and raise anything
            _log.exception("the price of a call is not known: it is charged as estimated")
            return
        if bill is None:
            return
        cost, tokens = bill
        work: list[Awaitable[None]] = []
        if not handle.shared:
            rounded = call.options.pricing.rounded(call.agent_id, cost)
            work.append(_quietly(handle.lease._settle(rounded, tokens)))
        elif cost or tokens:
            work.append(_on_its_loop(handle.lease, _settle_sum(handle.lease, cost, tokens)))
        if tokens:
            record = self._scheduler.metrics.record_actual_tokens
            work.append(_quietly(record(call.agent_id, call.task_type, tokens)))
        await asyncio.gather(*work)

    def abandon(self, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Nobody knows the answer any more: `close` it, and end. Called by the garbage collector,
        in any thread."""
        if self._ended or self._handle is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed, and its leases with it
            self._loop.call_soon_threadsafe(self._start_closing, close)

    def _start_closing(self, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        _start(self._close_and_end(close))

    async def _close_and_end(self, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with contextlib.suppress(Exception):  # of a connection that nobody uses
            await close()
        await self.end()

    @property
    def _held(self) -> AcquireHandle:
        assert self._handle is not None
        return self._handle


def _start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(work, name="loco_redis.call")
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    return task


async def _patiently(work: Coroutine[Any, Any, None]) -> None:
    """An answer is kept back for a moment only when Redis does not answer: the work goes on."""
    await asyncio.wait([_start(work)], timeout=_PATIENCE)


async def _settle_sum(lease: Lease, cost: float, tokens: int) -> None:
    with _adding:  # calls of other threads may be made in this slot, too
        spent, used = lease._spent
        lease._spent = spent + cost, used + tokens
    await lease._settle(*lease._spent)


async def _on_its_loop(lease: Lease, work: Coroutine[Any, Any, None]) -> None:
    """A slot may be held by another scheduler of this process, in another thread. That one's loop
    may be waiting for this call, so it is not waited for."""
    loop = lease._session.loop
    if loop is asyncio.get_running_loop():
        await _quietly(work)
    elif loop.is_closed():
        work.close()
    else:
        asyncio.run_coroutine_threadsafe(_quietly(work), loop)


async def _quietly(work: Awaitable[None]) -> None:
    """What cannot be booked is logged: the answer is there, and has been paid for."""
    try:
        await work
    except (LocoRedisError, RuntimeError) as error:
        _log.warning("what a call has cost could not be booked: %s", error)


class BlockingPassage:
    """A passage for plain code, run in the loop of its scheduler: the thread of a LOCOScheduler, or
    the loop in which an AsyncLOCOScheduler was opened, where other threads call.

    Raises:
        RuntimeError: `begin`, in the loop of an AsyncLOCOScheduler, which would wait for itself.
    """

    def __init__(self, scheduler: LOCOScheduler | AsyncLOCOScheduler, call: Call) -> None:
        if isinstance(scheduler, LOCOScheduler):
            self._passage = Passage(scheduler._core, call)
            self._run, self._start_soon = scheduler._run, scheduler._thread.start_soon
        else:
            self._passage = Passage(scheduler, call)
            loop = LoopOf(scheduler)
            self._run, self._start_soon = loop.run, loop.start_soon
        self.call, self.in_context = call, self._passage.in_context
        self.check = self._passage.check

    @property
    def covered(self) -> bool:
        return self._passage.covered

    def begin(self) -> None:
        self._run(self._passage.begin(), undo=partial(self._passage.end, KeyboardInterrupt()))

    def pause(self, seconds: float) -> None:
        self._run(self._pause(seconds))

    async def _pause(self, seconds: float) -> None:
        self._passage.pause(seconds)

    def end(self, error: BaseException | None = None) -> None:
        with contextlib.suppress(ShutdownError):  # its slots are given back
            self._run(self._passage.end(error), finish=True)

    def abandon(self, close: Callable[[], None]) -> None:
        """Nobody knows the answer any more. Called by the garbage collector, anywhere."""
        self._start_soon(self._close_and_end, close)

    async def _close_and_end(self, close: Callable[[], None]) -> None:
        with contextlib.suppress(Exception):  # of a connection that nobody uses
            await asyncio.to_thread(close)
        await self._passage.end()
