"""Calling a handler: a coroutine function in the event loop, any other in a thread."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any


class Threads:
    """Threads for plain functions, made when first needed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._executor: ThreadPoolExecutor | None = None

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What `function(*arguments)` returns, awaited if it is awaitable.

        A thread cannot be interrupted: who is cancelled waits for its end, so that the slot is
        not given to another meanwhile.
        """
        if _is_async(function):
            return await function(*arguments)
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._most, thread_name_prefix="loco_redis.handler")
        run = partial(contextvars.copy_context().run, function, *arguments)
        running = asyncio.get_running_loop().run_in_executor(self._executor, run)
        try:
            found = await asyncio.shield(running)
        except asyncio.CancelledError:
            if not running.cancelled():
                await _ended(running)
            raise
        return await found if inspect.isawaitable(found) else found

    def close(self) -> None:
        """All calls have ended, so their threads end at once."""
        if self._executor is not None:
            self._executor.shutdown()


async def _ended(running: asyncio.Future[Any]) -> None:
    """Wait for it, however often we are cancelled; its outcome is nobody's any more."""
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            continue
    if not running.cancelled():
        running.exception()


def _is_async(function: Callable[..., Any]) -> bool:
    while isinstance(function, partial):
        function = function.func
    called = getattr(type(function), "__call__", None)  # noqa: B004  of objects that are callable
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


async def maybe_awaited(value: Awaitable[None] | None) -> None:
    if value is not None:
        await value
