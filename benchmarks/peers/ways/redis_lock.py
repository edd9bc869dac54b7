"""The lock that redis-py brings: SET NX PX, tried again every 0.1 s."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio

from benchmarks.peers.ways.slot import Slot


@asynccontextmanager
async def lock(
    url: str, name: str, slots: int, tasks: int, *, lease: float = 30.0
) -> AsyncIterator[Slot]:
    """With a timeout, as its documents advise, and its own default pause between two tries.

    Raises:
        ValueError: more than one slot.
    """
    if slots != 1:
        raise ValueError(f"a lock has one slot, not {slots}")
    pool = redis.asyncio.ConnectionPool.from_url(url, max_connections=tasks + 8)
    async with redis.asyncio.Redis.from_pool(pool) as client:
        yield lambda _: client.lock(f"lock_{name}", timeout=lease)
