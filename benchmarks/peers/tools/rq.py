"""rq: one job at a time; SimpleWorker, its worker without a fork for each job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import redis
from rq import Queue

from benchmarks.peers import marks
from benchmarks.peers.tools.tool import Tool, command


@asynccontextmanager
async def queue(url: str, name: str, concurrency: int) -> AsyncIterator[Tool]:
    """result_ttl=0 keeps no results. The worker is its command."""
    with redis.Redis.from_url(url) as client:
        yield _Rq(Queue(name, connection=client), url)


class _Rq:
    def __init__(self, kept: Queue, url: str) -> None:
        self._queue, self._url = kept, url

    async def submit(self, seconds: float) -> None:
        self._queue.enqueue(marks.job, seconds, result_ttl=0)

    def serving(self, count: int) -> AbstractAsyncContextManager[None]:
        arguments = ("--worker-class", "rq.worker.SimpleWorker", "--quiet", "--url", self._url)
        return command("rq.cli", "worker", *arguments, self._queue.name)
