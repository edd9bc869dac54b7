"""The Python bullmq: Queue.add, Worker with a processor and concurrency."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bullmq import Queue, Worker

from benchmarks.peers import marks
from benchmarks.peers.tools.tool import Tool


async def work(job: object, token: str) -> None:
    await marks.async_job(job.data["seconds"])  # type: ignore[attr-defined]


@asynccontextmanager
async def queue(url: str, name: str, concurrency: int) -> AsyncIterator[Tool]:
    """removeOnComplete keeps no results."""
    kept = Queue(name, {"connection": url})
    try:
        yield _BullMQ(kept, url, concurrency)
    finally:
        await kept.close()


class _BullMQ:
    def __init__(self, kept: Queue, url: str, concurrency: int) -> None:
        self._queue, self._url, self._concurrency = kept, url, concurrency

    async def submit(self, seconds: float) -> None:
        await self._queue.add("job", {"seconds": seconds}, {"removeOnComplete": True})

    @asynccontextmanager
    async def serving(self, count: int) -> AsyncIterator[None]:
        options = {"connection": self._url, "concurrency": self._concurrency}
        worker = Worker(self._queue.name, work, options)
        try:
            yield
        finally:
            await worker.close(force=True)
