"""Serving a backlog for ever: one process' share of the work, whoever submitted it."""

from __future__ import annotations

import asyncio
import fnmatch
import logging
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from loco_redis import _validate as validate
from loco_redis._tasks import end
from loco_redis.lease import Lease
from loco_redis.orchestration._calling import Threads
from loco_redis.orchestration._lanes import Lanes

if TYPE_CHECKING:
    from loco_redis.scheduler import AsyncLOCOScheduler

Handler = Callable[[Lease], Awaitable[Any]] | Callable[[Lease], Any]

_MOST_CONCURRENT = 10_000
_NOT_MINE = 1.0  # seconds for which a task rests that this process has no handler for

_log = logging.getLogger("loco_redis")


class Worker:
    """Serves tasks of the agents in `handlers`, up to `concurrency` at once; the fleet's slots are
    the limit above it.

    A handler is given the lease (`lease.task.payload`, `lease.agent_id`, `lease.token`), and its
    return value becomes the task's result unless it has called `lease.complete` or `lease.fail`
    itself. One that raises has failed. A sync one runs in a thread, which cannot be cancelled: the
    worker waits for its end. A task of an agent that has no handler here is put back for a second,
    for another process to take: let every worker of a resource have them all, or use several
    resources.

    Args:
        handlers: by agent id, or by a pattern such as "acme/*" or "*" for those without one of
            their own; the first that matches.
        concurrency: tasks served at once in this process, 1 to 10,000.
        grace: seconds for which a stopped worker lets its handlers go on; then they are cancelled,
            and their tasks go back without an attempt being counted.

    Attributes:
        done, failed: handlers that returned and that raised.

    Raises:
        ValueError: bad arguments.
    """

    def __init__(
        self,
        scheduler: AsyncLOCOScheduler,
        handlers: Mapping[str, Handler],
        *,
        concurrency: int = 8,
        grace: float = 30.0,
    ) -> None:
        if not handlers:
            raise ValueError('handlers are empty: name agents, or "*" for all, as {"*": handle}')
        for agent, handler in handlers.items():
            validate.agent_id(agent)
            if not callable(handler):
                raise ValueError(
                    f"the handler of {agent!r} must be callable, got {validate.shown(handler)}"
                )
        self._scheduler, self._handlers = scheduler, dict(handlers)
        self._concurrency = validate.count("concurrency", concurrency, 1, _MOST_CONCURRENT)
        self._grace = validate.seconds("grace", grace, 0, 86_400)
        self._stop, self._hurry = asyncio.Event(), asyncio.Event()
        self._threads = Threads(concurrency)
        self.done = self.failed = 0

    def __repr__(self) -> str:
        state = "stopping" if self._stop.is_set() else "serving"
        return (
            f"<Worker of {self._scheduler.name!r} {state} {self._concurrency} at once "
            f"done={self.done} failed={self.failed}>"
        )

    async def run(self) -> None:
        """Serve until `stop`, SIGTERM or SIGINT; then let handlers end, for `grace` seconds. A
        second signal cancels them at once. For one call.

        Raises:
            ShutdownError: the scheduler was closed.
            ConfigMismatchError and others: what waiting will not mend.
        """
        lanes = Lanes(self._scheduler, self._handle)
        lanes.resize(self._concurrency)
        serving = asyncio.create_task(lanes.run(), name="loco_redis.worker")
        stop = asyncio.create_task(self._stop.wait(), name="loco_redis.worker.stop")
        try:
            with self._signals():
                # Serving ends before that by an error only.
                await asyncio.wait([serving, stop], return_when=asyncio.FIRST_COMPLETED)
                self._stop.set()
                await lanes.drain(self._grace, self._hurry)
                await asyncio.wait([serving])
        finally:
            try:
                await end(stop, serving)
            finally:
                self._threads.close()
        serving.result()

    def stop(self) -> None:
        """Take no more tasks: `run` returns once those at hand have ended. The second time it
        cancels them."""
        (self._hurry if self._stop.is_set() else self._stop).set()

    async def _handle(self, lease: Lease) -> None:
        handler = self._handler_of(lease.agent_id)
        if handler is None:
            _log.warning("no handler for agent %r here: its task is put back", lease.agent_id)
            lease._put_off(_NOT_MINE)
            return
        try:
            value = await self._threads.call(handler, lease)
            if lease._outcome is None:
                lease.complete(value)
            self.done += 1
        except Exception as error:  # noqa: BLE001  a handler may raise anything
            self.failed += 1
            task = lease.task
            _log.warning(
                "task %s of agent %r failed in attempt %d of %s: %r",
                task.task_id, lease.agent_id, task.attempt, task.max_attempts or "any", error,
            )  # fmt: skip
            lease.fail(error)

    def _handler_of(self, agent_id: str) -> Handler | None:
        if (own := self._handlers.get(agent_id)) is not None:
            return own
        for pattern, handler in self._handlers.items():
            if fnmatch.fnmatchcase(agent_id, pattern):
                return handler
        return None

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT stop it, where they can be handled: in the main thread, on Unix."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop, numbers = asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT)
        before = [signal.getsignal(number) for number in numbers]
        try:
            for number in numbers:
                loop.add_signal_handler(number, self.stop)
        except NotImplementedError:
            yield
            return
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                loop.remove_signal_handler(number)
                signal.signal(number, handler)
