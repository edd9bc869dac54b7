"""A list of tokens by redis-py: BLPOP takes one, RPUSH brings it back.

As it comes, redis-py 8 gives up an answer after five seconds, so a waiter fails that has waited for
longer. `patient` switches that off, which also saves a timer for each command.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType

import redis.asyncio

from benchmarks.peers.ways.slot import Slot


@asynccontextmanager
async def pooled(
    url: str, name: str, slots: int, tasks: int, *, patient: bool = False
) -> AsyncIterator[Slot]:
    """One client with its pool, which has a connection for each waiter."""
    forever = {"socket_timeout": None} if patient else {}
    pool = redis.asyncio.ConnectionPool.from_url(url, max_connections=tasks + 8, **forever)
    async with redis.asyncio.Redis.from_pool(pool) as client:
        tokens = await Tokens.make(client, name, slots)
        yield lambda _: tokens


class Tokens:
    """A list of tokens; whoever makes it first fills it."""

    def __init__(self, client: redis.asyncio.Redis, name: str) -> None:
        self._client, self._key = client, f"tokens_{name}"

    @classmethod
    async def make(cls, client: redis.asyncio.Redis, name: str, slots: int) -> Tokens:
        tokens = cls(client, name)
        if await client.set(f"{tokens._key}_made", 1, nx=True):
            await client.rpush(tokens._key, *range(slots))
        return tokens

    async def __aenter__(self) -> None:
        await self._client.blpop(self._key)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.rpush(self._key, b"token")
