"""Runs the scripts of a router: one call is one task, which no cancelled caller can break off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any, TypeVar

from loco_redis._endpoint import AsyncClient, Endpoint
from loco_redis.errors import BackendUnavailableError, ShutdownError
from loco_redis.orchestration._insisting import insist
from loco_redis.orchestration._scripts import Runner

T = TypeVar("T")
Argument = str | int

_MOST_AT_ONCE = 16  # connections


class Store:
    """The state of one router in Redis."""

    def __init__(self, name: str, strategy: str, endpoint: Endpoint, timeout: float) -> None:
        self._strategy, self._endpoint, self._timeout = strategy, endpoint, timeout
        self.keys = [f"loco:{{router:{name}}}:{key}" for key in ("state", "flights", "expiry")]
        self._stack = ExitStack()
        self._client: AsyncClient | None = None
        self._runner: Runner | None = None
        self._inside = endpoint
        self._tasks: set[asyncio.Task[Any]] = set()
        self._room = asyncio.Semaphore(_MOST_AT_ONCE)
        self._name, self._closed = name, False

    async def open(self) -> None:
        if self._endpoint.is_embedded:
            self._inside = await asyncio.to_thread(
                self._stack.enter_context, self._endpoint.attached()
            )
        self._client = self._inside.async_client()
        self._runner = Runner(self._client, self._inside.scripts)

    async def aclose(self) -> None:
        """Lets what is under way come to its end."""
        while self._tasks:
            await asyncio.wait([*self._tasks])
        self._closed = True
        if self._client is not None:
            await self._inside.close_async(self._client)
        await asyncio.to_thread(self._stack.close)

    def start(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """A task that `aclose` waits for."""
        task = asyncio.create_task(work, name=f"loco_redis.router.{name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def run(self, script: str, *args: Argument) -> Any:
        """The reply. Repeated until there is one: every script does nothing when it is repeated.

        Raises:
            BackendError: Redis cannot be reached, or refuses.
            ShutdownError: this is closed.
        """
        name = f"route_{self._strategy}" if script == "route" else script

        def ask() -> Any:
            assert self._runner is not None
            return self._runner.run(name, self.keys, args)

        return await self._repeat(ask)

    async def health(self, backend: str) -> bytes | None:
        """The row of a backend's breaker."""

        def ask() -> Any:
            assert self._client is not None
            return self._client.hget(self.keys[0], f"{backend}/health")

        found: bytes | None = await self._repeat(ask)
        return found

    async def _repeat(self, ask: Any) -> Any:
        deadline = time.monotonic() + self._timeout

        async def in_turn() -> Any:
            await self._connection(deadline)
            try:
                return await ask()
            finally:
                self._room.release()

        where = self._endpoint.redacted
        return await insist(in_turn, what="a router's script", where=where, patience=self._timeout)

    async def _connection(self, deadline: float) -> None:
        """Room for one more command; to be released."""
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                await self._room.acquire()
        except TimeoutError:
            where = self._endpoint.redacted
            raise BackendUnavailableError(where, "its replies take too long") from None
        if self._closed:
            self._room.release()
            raise ShutdownError(self._name)
