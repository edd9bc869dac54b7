"""Running the scripts of pools: gather, which acquires several resources at once, and scatter."""

from __future__ import annotations

import asyncio
from typing import Any

from loco_redis._endpoint import Endpoint
from loco_redis._scripts import Argument
from loco_redis._tasks import end
from loco_redis.orchestration._insisting import insist
from loco_redis.orchestration._scripts import Runner

_AT_ONCE = 8  # calls of one group, each on a connection of its own


class Caller:
    """Runs scripts on connections of its own, and again where no reply came: repeats are harmless.

    Each call is a task of its own, which no cancellation of a caller reaches: redis-py may swallow
    it (Python 3.11). `aclose` it.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.client = endpoint.async_client()
        self._runner = Runner(self.client, endpoint.scripts)
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._calls: set[asyncio.Task[Any]] = set()

    def call(
        self, name: str, keys: tuple[Argument, ...], args: tuple[Argument, ...], timeout: float
    ) -> asyncio.Task[Any]:
        """A task with the raw reply: await it shielded. It raises BackendError; after `timeout`
        seconds without a reply BackendUnavailableError."""
        call = asyncio.create_task(self._call(name, keys, args, timeout), name=f"loco_redis.{name}")
        self._calls.add(call)
        call.add_done_callback(self._called)
        return call

    def _called(self, call: asyncio.Task[Any]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # is known, also where nobody waits for it any more

    async def settled(self, timeout: float) -> None:
        """Once no call is under way, or after so many seconds."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=timeout)

    async def _call(
        self, name: str, keys: tuple[Argument, ...], args: tuple[Argument, ...], timeout: float
    ) -> Any:
        where = self.endpoint.redacted
        return await insist(
            lambda: self._run(name, keys, args), what=name, where=where, patience=timeout
        )

    async def _run(self, name: str, keys: tuple[Argument, ...], args: tuple[Argument, ...]) -> Any:
        async with self._gate:
            return await self._runner.run(name, keys, args)

    async def aclose(self) -> None:
        await end(*self._calls)
        await self.endpoint.close_async(self.client)
