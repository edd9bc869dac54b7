"""taskiq with the Redis stream broker, which acknowledges; the worker is its command."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from taskiq_redis import RedisStreamBroker

from benchmarks.peers import marks
from benchmarks.peers.tools.tool import Tool, command

_URL, _QUEUE = "LOCO_PEERS_TASKIQ_URL", "LOCO_PEERS_TASKIQ_QUEUE"


def _broker(url: str, queue: str) -> RedisStreamBroker:
    """No result backend. The group begins with the oldest job, so that none is missed."""
    broker = RedisStreamBroker(url=url, queue_name=queue, consumer_id="0")
    broker.register_task(marks.async_job, task_name="job")
    return broker


#: What the worker's command imports.
served = _broker(os.environ.get(_URL, "redis://"), os.environ.get(_QUEUE, "taskiq"))


@asynccontextmanager
async def stream(url: str, name: str, concurrency: int) -> AsyncIterator[Tool]:
    broker = _broker(url, name)
    await broker.startup()
    try:
        yield _Stream(broker, url, concurrency)
    finally:
        await broker.shutdown()


class _Stream:
    def __init__(self, broker: RedisStreamBroker, url: str, concurrency: int) -> None:
        job = broker.find_task("job")
        assert job is not None
        self._job = job
        self._environment = {_URL: url, _QUEUE: broker.queue_name}
        self._concurrency = concurrency

    async def submit(self, seconds: float) -> None:
        await self._job.kiq(seconds)

    def serving(self, count: int) -> AbstractAsyncContextManager[None]:
        """One process; its programmatic receiver does not always end when it is cancelled."""
        module = "benchmarks.peers.tools.taskiq:served"
        arguments = ("--workers", "1", "--max-async-tasks", str(self._concurrency))
        return command("taskiq", "worker", module, *arguments, **self._environment)
