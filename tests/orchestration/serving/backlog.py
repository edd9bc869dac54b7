"""Small things that the tests of this folder share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

from loco_redis import AsyncLOCOScheduler
from loco_redis.backoff import Backoff
from tests.schedulers import Schedulers

T = TypeVar("T")

AT_ONCE = Backoff(0.0, 0.0)


async def serve_next(
    scheduler: AsyncLOCOScheduler, value: object = None, timeout: float = 5.0
) -> str | None:
    """Serve one task with that result; its id."""
    async with scheduler.serve(timeout=timeout) as lease:
        lease.complete(value)
        return lease.task.task_id


def ids(schedulers: Schedulers) -> list[str]:
    """Of all durable tasks there are."""
    return [task.decode() for task in schedulers.dump().tasks]


def apart(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task that does not count as holding what its maker holds."""
    return asyncio.get_running_loop().create_task(work, context=Context())
