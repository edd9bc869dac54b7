"""loco-redis: durable tasks of one agent, served by as many tasks as the concurrency."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.peers import marks
from benchmarks.peers.tools.tool import Tool
from loco_redis import AsyncLOCOScheduler, SharedResource, Task


@asynccontextmanager
async def durable(url: str, name: str, concurrency: int) -> AsyncIterator[Tool]:
    """`submit_task`, and `acquire` without a task; the capacity holds for the whole fleet."""
    resource = SharedResource(name, capacity=concurrency)
    async with AsyncLOCOScheduler([], resource, redis=url) as scheduler:
        yield _Durable(scheduler, concurrency)


class _Durable:
    def __init__(self, scheduler: AsyncLOCOScheduler, concurrency: int) -> None:
        self._scheduler, self._concurrency = scheduler, concurrency

    async def submit(self, seconds: float) -> None:
        await self._scheduler.submit_task("jobs", Task(payload=json.dumps(seconds).encode()))

    @asynccontextmanager
    async def serving(self, count: int) -> AsyncIterator[None]:
        left = count

        async def work() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                async with self._scheduler.acquire("jobs") as lease:
                    assert lease.task.payload is not None
                    await marks.async_job(json.loads(lease.task.payload))

        workers = [asyncio.create_task(work()) for _ in range(self._concurrency)]
        try:
            yield
        finally:
            await asyncio.gather(*workers)
