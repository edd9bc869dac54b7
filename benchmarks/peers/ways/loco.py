"""loco-redis by its public API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.peers.ways.slot import Slot
from loco_redis import AsyncLOCOScheduler, SharedResource


@asynccontextmanager
async def ours(
    url: str,
    name: str,
    slots: int,
    tasks: int,
    *,
    alpha: float | None = None,
    lease: float | None = None,
    caps: dict[str, int] | None = None,
) -> AsyncIterator[Slot]:
    """Each task is an agent of its own; `caps` are agents' greatest numbers of slots at once."""
    resource = SharedResource(name, capacity=slots)
    async with AsyncLOCOScheduler(
        [], resource, redis=url, alpha=alpha, lease_ttl=lease
    ) as scheduler:
        for task, most in (caps or {}).items():
            await scheduler.set_max_concurrency(f"agent_{task}", most)
        yield lambda task: scheduler.acquire(f"agent_{task}", weight=1.0)
