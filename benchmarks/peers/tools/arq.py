"""arq: create_pool, enqueue_job, Worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from arq.worker import Worker

from benchmarks.peers import marks
from benchmarks.peers.tools.tool import Tool, running


async def work(ctx: object, seconds: float) -> None:
    await marks.async_job(seconds)


@asynccontextmanager
async def queue(url: str, name: str, concurrency: int) -> AsyncIterator[Tool]:
    """keep_result=0 keeps no results. Its poll_delay is 0.5 s by default, which alone would bound
    it to a few hundred jobs a second; 10 ms here, in its favour."""
    settings = RedisSettings.from_dsn(url)
    pool = await create_pool(settings, default_queue_name=name)
    try:
        yield _Arq(pool, settings, name, concurrency)
    finally:
        await pool.aclose()


class _Arq:
    def __init__(
        self, pool: ArqRedis, settings: RedisSettings, name: str, concurrency: int
    ) -> None:
        self._pool, self._settings = pool, settings
        self._name, self._concurrency = name, concurrency

    async def submit(self, seconds: float) -> None:
        await self._pool.enqueue_job("work", seconds)

    @asynccontextmanager
    async def serving(self, count: int) -> AsyncIterator[None]:
        worker = Worker(
            functions=[work],
            queue_name=self._name,
            redis_settings=self._settings,
            max_jobs=self._concurrency,
            keep_result=0,
            poll_delay=0.01,
            handle_signals=False,
            log_results=False,
        )
        async with running(worker.async_run()):
            yield
        with suppress(asyncio.CancelledError):  # of a job that was done, but not yet written off
            await worker.close()
