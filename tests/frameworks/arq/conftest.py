"""arq on the test's own server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from arq import create_pool
from arq.connections import ArqRedis
from arq.worker import Worker

import loco_redis as loco
from loco_redis.adapters.arq import ArqAdapter
from tests.frameworks.arq.arq_jobs import FUNCTIONS, configure, place
from tests.frameworks.queue_workers import Slots
from tests.servers import Server

Start = Callable[..., Coroutine[Any, Any, Worker]]


@pytest.fixture
async def slots(server: Server) -> AsyncIterator[Slots]:
    """Slots of which none may be held after the test; they are the configured ones."""
    configure(server.url)
    slots = await asyncio.to_thread(Slots, server)
    yield slots
    await asyncio.to_thread(slots.at_rest)
    await asyncio.to_thread(slots.close)
    await loco.reset()


@pytest.fixture
async def pool(slots: Slots) -> AsyncIterator[ArqRedis]:
    pool = await create_pool(place(slots.server.url))
    yield pool
    await pool.close(close_connection_pool=True)


async def end(worker: Worker, running: asyncio.Task[None]) -> None:
    """arq tells its loop to end by cancelling it, once, which the loop may miss; closing it raises
    CancelledError for a job that was done but not yet written off."""
    with contextlib.suppress(asyncio.CancelledError):
        await worker.close()
    while not running.done():
        running.cancel()
        await asyncio.wait([running], timeout=0.5)


@pytest.fixture
async def start(slots: Slots) -> AsyncIterator[Start]:
    """Starts a worker of an adapter with these options in this process."""
    made: list[tuple[Worker, asyncio.Task[None]]] = []

    async def start(max_jobs: int = 10, **options: Any) -> Worker:
        adapter = ArqAdapter(**options)
        worker = Worker(
            adapter.functions(FUNCTIONS),
            redis_settings=place(slots.server.url),
            on_shutdown=adapter.on_shutdown,
            poll_delay=0.02,
            max_jobs=max_jobs,
            handle_signals=False,
            allow_abort_jobs=True,
        )
        made.append((worker, asyncio.create_task(worker.async_run())))
        return worker

    yield start
    for worker, running in made:
        await end(worker, running)
