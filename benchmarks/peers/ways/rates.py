"""Two rate limiters with a limit that is never met: what one permitted call costs.

They do not guard slots; nothing happens when the body is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from benchmarks.peers.ways.slot import Slot

_MANY = 10**9  # a minute


class _Asked:
    """Enters when `ask` says yes, asking again after a millisecond."""

    def __init__(self, ask: Callable[[], Awaitable[bool]]) -> None:
        self._ask = ask

    async def __aenter__(self) -> None:
        while not await self._ask():  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(0.001)

    async def __aexit__(self, *_: object) -> None:
        """Nobody is told."""


@asynccontextmanager
async def limits(url: str, name: str, slots: int, tasks: int) -> AsyncIterator[Slot]:
    """Its asyncio storage by redis-py, with the sliding window counter that it recommends."""
    from limits import RateLimitItemPerMinute
    from limits.aio import storage, strategies

    kept = storage.RedisStorage(f"async+{url}", implementation="redispy", max_connections=tasks + 8)
    limiter = strategies.SlidingWindowCounterRateLimiter(kept)
    item = RateLimitItemPerMinute(_MANY)
    asked = _Asked(lambda: limiter.hit(item, name))
    yield lambda _: asked


@asynccontextmanager
async def throttled(url: str, name: str, slots: int, tasks: int) -> AsyncIterator[Slot]:
    """Its asyncio Redis store, one Throttled object, the token bucket that is its default."""
    from throttled.asyncio import RateLimiterType, Throttled, rate_limiter, store

    limiter = Throttled(
        key=name,
        using=RateLimiterType.TOKEN_BUCKET.value,
        quota=rate_limiter.per_min(_MANY, burst=_MANY),
        store=store.RedisStore(server=url),
    )

    async def ask() -> bool:
        return not (await limiter.limit()).limited

    asked = _Asked(ask)
    yield lambda _: asked
