"""LiteLLM's request prioritisation: a heap of (priority, id), kept in Redis under one key.

Its router lets a request pass at once while a deployment is healthy; while none is, the request on
top of the heap passes. Here none is, so that the scheduler has something to decide.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from types import TracebackType
from urllib.parse import urlsplit

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # read nothing from the internet on import

from litellm.caching.caching import RedisCache
from litellm.scheduler import FlowItem, Scheduler

from benchmarks.peers.ways.slot import Slot


@asynccontextmanager
async def scheduler(url: str, name: str, slots: int, tasks: int) -> AsyncIterator[Slot]:
    """`add_request` and `poll` every 3 ms, its default, as its page on the scheduler shows."""
    parts = urlsplit(url)
    kept = Scheduler(redis_cache=RedisCache(host=parts.hostname, port=parts.port))
    numbers = count()

    def turn(_: int | str) -> _Turn:
        return _Turn(kept, FlowItem(priority=0, request_id=str(next(numbers)), model_name=name))

    yield turn


class _Turn:
    def __init__(self, kept: Scheduler, item: FlowItem) -> None:
        self._kept, self._item = kept, item

    async def __aenter__(self) -> None:
        await self._kept.add_request(self._item)
        while not await self._kept.poll(self._item, []):  # noqa: ASYNC110 - as it does itself
            await asyncio.sleep(self._kept.polling_interval)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Nobody is told."""
