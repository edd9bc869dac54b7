"""A semaphore as people write it by hand: holders in a sorted set, a message at each release.

One script drops holders whose time is over and adds this one if there is room; release takes it
out and publishes. A process subscribes once; a message wakes all of its waiters, which try again,
as they do without a message after a second, in case one was lost or a holder died.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType

import redis.asyncio

from benchmarks.peers.ways.slot import Slot

_TAKE = """
local now = redis.call('TIME')
local at = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', at)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
return redis.call('ZADD', KEYS[1], at + ARGV[2], ARGV[3])
"""
_GIVE = "redis.call('ZREM', KEYS[1], ARGV[1]) redis.call('PUBLISH', KEYS[1], '')"

#: Seconds until a waiter that has heard nothing tries again.
_RETRY = 1.0


@asynccontextmanager
async def semaphore(
    url: str, name: str, slots: int, tasks: int, *, lease: float = 10.0
) -> AsyncIterator[Slot]:
    """One client and one subscription per process; `lease` in seconds, as in the well-known recipe
    of a fair semaphore (timeout 10 s), whose renewal is left to the caller."""
    pool = redis.asyncio.ConnectionPool.from_url(url, max_connections=tasks + 8)
    async with redis.asyncio.Redis.from_pool(pool) as client, client.pubsub() as pubsub:
        shared = _Semaphore(client, f"holders_{name}", slots, lease)
        await pubsub.subscribe(shared.key)
        listening = asyncio.create_task(shared.listen(pubsub))
        try:
            yield lambda _: _Held(shared)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


class _Semaphore:
    def __init__(self, client: redis.asyncio.Redis, key: str, slots: int, lease: float) -> None:
        self.key, self._terms = key, (slots, int(lease * 1000))
        self._take, self._give = client.register_script(_TAKE), client.register_script(_GIVE)
        self._freed = asyncio.Event()

    async def listen(self, pubsub: redis.asyncio.client.PubSub) -> None:
        async for message in pubsub.listen():
            if message["type"] == "message":
                self._freed.set()
                self._freed = asyncio.Event()

    async def enter(self, holder: str) -> None:
        freed = self._freed
        while not await self._take(keys=[self.key], args=[*self._terms, holder]):
            try:
                async with asyncio.timeout(_RETRY):
                    await freed.wait()
            except TimeoutError:
                pass
            freed = self._freed

    async def leave(self, holder: str) -> None:
        await self._give(keys=[self.key], args=[holder])


class _Held:
    def __init__(self, shared: _Semaphore) -> None:
        self._shared, self._holder = shared, uuid.uuid4().hex

    async def __aenter__(self) -> None:
        await self._shared.enter(self._holder)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._shared.leave(self._holder)
