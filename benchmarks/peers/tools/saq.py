"""saq: Queue.from_url, Worker with functions and concurrency, as its README shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from saq import Queue, Worker

from benchmarks.peers import marks
from benchmarks.peers.tools.tool import Tool, running


async def work(ctx: object, *, seconds: float) -> None:
    await marks.async_job(seconds)


@asynccontextmanager
async def queue(url: str, name: str, concurrency: int) -> AsyncIterator[Tool]:
    """`max_concurrent_ops` (20 connections) as by default; ttl -1 keeps no results."""
    kept = Queue.from_url(url, name=name)
    await kept.connect()
    try:
        yield _Saq(kept, concurrency)
    finally:
        await kept.disconnect()


class _Saq:
    def __init__(self, kept: Queue, concurrency: int) -> None:
        self._queue, self._concurrency = kept, concurrency

    async def submit(self, seconds: float) -> None:
        await self._queue.enqueue("work", seconds=seconds, ttl=-1, timeout=60)

    @asynccontextmanager
    async def serving(self, count: int) -> AsyncIterator[None]:
        worker = Worker(self._queue, functions=[work], concurrency=self._concurrency)
        async with running(worker.start()):
            yield
        await worker.stop()
