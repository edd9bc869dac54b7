"""taskiq: a task runs in a slot of the agent named in its labels."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NoReturn

from loco_redis import _validate as validate
from loco_redis._extras import need
from loco_redis.adapters._queue_slots import BlockingSchedulers, OnTimeout, QueueOptions, SlotTerms
from loco_redis.blocking import LOCOScheduler
from loco_redis.errors import LocoRedisError
from loco_redis.scheduler import AsyncLOCOScheduler
from loco_redis.shortcuts import get_scheduler

_taskiq: Any = need("taskiq", "taskiq")

#: The message that is about to be executed in this context, and the loop of its receiver.
_next: ContextVar[tuple[Any, asyncio.AbstractEventLoop] | None] = ContextVar(
    "loco_redis_taskiq", default=None
)


class LOCOTaskiqMiddleware(_taskiq.TaskiqMiddleware):  # type: ignore[misc]
    """`broker.with_middlewares(LOCOTaskiqMiddleware())`.

    The labels `loco_agent`, `loco_weight` and `loco_timeout` say who waits, with what weight, and
    for how many seconds; `loco_agent=None` runs a task without a slot. The slot is taken around the
    task's function, and not by hooks: those after a task do not run on every path.

    Args:
        scheduler: for async tasks; None: the one that `loco_redis.configure` made.
        blocking_scheduler: for tasks that are plain functions, which run in threads: a
            LOCOScheduler, or a function that makes one; None: the configured one.
        agent_id, weight, timeout, on_timeout, retry_in: as of QueueOptions. A task put off waits
            `retry_in` seconds in the worker, and then goes to the end of its queue.

    A task without a slot fails with what `acquire` raises.

    Raises:
        ValueError: any of them out of range.
    """

    def __init__(
        self,
        scheduler: AsyncLOCOScheduler | None = None,
        *,
        blocking_scheduler: LOCOScheduler | Callable[[], LOCOScheduler] | None = None,
        agent_id: str | None = None,
        weight: float = 1.0,
        timeout: float | None = None,
        on_timeout: OnTimeout = "retry",
        retry_in: float = 1.0,
    ) -> None:
        super().__init__()
        if not isinstance(scheduler, AsyncLOCOScheduler | None):
            raise ValueError(
                f"scheduler must be an AsyncLOCOScheduler or None, got {validate.shown(scheduler)}"
            )
        self._options = QueueOptions(agent_id, weight, timeout, on_timeout, retry_in)
        self._scheduler, self._blocking = scheduler, BlockingSchedulers(blocking_scheduler)
        self._used: AsyncLOCOScheduler | None = None

    def pre_execute(self, message: Any) -> Any:
        """The receiver reads the task's function after this."""
        task = self.broker.find_task(message.task_name)
        if task is not None and getattr(task.original_func, "_loco_middleware", None) is not self:
            task.original_func = self._wrapped(task.original_func, message.task_name)
        _next.set((message, asyncio.get_running_loop()))
        return message

    async def shutdown(self) -> None:
        """A worker closes the configured schedulers that its tasks have used."""
        if self.broker.is_worker_process:
            await asyncio.to_thread(self._blocking.close)
            if self._used is not None:
                await self._used.aclose()

    def _wrapped(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        made: Any = _PlainTask(self, function, name)
        if inspect.iscoroutinefunction(function):
            made = self._wrapped_coroutine(function, name)
        made._loco_middleware = self
        return made  # type: ignore[no-any-return]

    def _wrapped_coroutine(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        @functools.wraps(function)
        async def in_slot(*args: Any, **kwargs: Any) -> Any:
            message, _, terms = self._begin(name)
            if terms is None:
                return await function(*args, **kwargs)

            async def put_off(error: LocoRedisError) -> NoReturn:
                if self._options.on_timeout == "fail":
                    raise error
                await asyncio.sleep(self._options.retry_in)
                await self._requeue(message)

            scheduler = self._scheduler
            if scheduler is None:
                self._used = scheduler = get_scheduler()
            return await terms.run(scheduler, lambda: function(*args, **kwargs), put_off)

        return in_slot

    def _begin(self, name: str) -> tuple[Any, Any, SlotTerms | None]:
        """The message, its loop, its terms; no terms for a function that other code calls."""
        message, loop = _next.get() or (None, None)
        if message is None or message.task_name != name:
            return None, None, None
        _next.set(None)
        return message, loop, self._options.terms(name, message.labels)

    async def _requeue(self, message: Any) -> NoReturn:
        """Raises NoResultError, which says that this execution has no result."""
        await _taskiq.Context(message, self.broker).requeue()
        raise AssertionError


class _PlainTask:
    """A plain function, which the receiver calls in a thread."""

    def __init__(
        self, middleware: LOCOTaskiqMiddleware, function: Callable[..., Any], name: str
    ) -> None:
        functools.update_wrapper(self, function)
        self._middleware, self._function, self._name = middleware, function, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        middleware = self._middleware
        message, loop, terms = middleware._begin(self._name)
        if terms is None:
            return self._function(*args, **kwargs)

        def put_off(error: LocoRedisError) -> NoReturn:
            if middleware._options.on_timeout == "fail":
                raise error
            time.sleep(middleware._options.retry_in)
            asyncio.run_coroutine_threadsafe(middleware._requeue(message), loop).result()
            raise AssertionError

        scheduler = middleware._blocking.get()
        return terms.run_blocking(scheduler, lambda: self._call(args, kwargs), put_off)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = self._function(*args, **kwargs)
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise TypeError(
                f"{self._name} is a plain function that returns an awaitable, which would run "
                "without a slot: make it `async def`"
            )
        return result

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{self._name} cannot hold a slot in a process pool: use taskiq's threads (without "
            "--use-process-pool), or make it `async def`"
        )
