"""Celery with Redis as its broker; the worker is its command."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from celery import Celery

from benchmarks.peers import marks
from benchmarks.peers.tools.tool import Tool, command

_URL, _QUEUE = "LOCO_PEERS_CELERY_URL", "LOCO_PEERS_CELERY_QUEUE"

#: Also what the worker's command imports.
app = Celery("peers", broker=os.environ.get(_URL))
app.conf.update(task_ignore_result=True, task_default_queue=os.environ.get(_QUEUE, "celery"))
job = app.task(name="job")(marks.job)


@asynccontextmanager
async def queue(url: str, name: str, concurrency: int) -> AsyncIterator[Tool]:
    """No result backend."""
    app.conf.update(broker_url=url, task_default_queue=name)
    yield _Celery(url, name, concurrency)


class _Celery:
    def __init__(self, url: str, name: str, concurrency: int) -> None:
        self._environment = {_URL: url, _QUEUE: name}
        self._concurrency = concurrency

    async def submit(self, seconds: float) -> None:
        job.delay(seconds)

    def serving(self, count: int) -> AbstractAsyncContextManager[None]:
        """Its default pool, of processes, as many as there are cores: the fastest for jobs that do
        nothing (a pool of 50 threads is slower)."""
        processes = min(self._concurrency, os.cpu_count() or 1)
        module = "benchmarks.peers.tools.celery"
        arguments = ("--concurrency", str(processes), "--loglevel", "ERROR")
        return command("celery", "-A", module, "worker", *arguments, **self._environment)
