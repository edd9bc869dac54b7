"""Replays a workload tick by tick through the public API: one slot, one release a tick.

Deterministic: requests reach Redis in the order in which they are made here, so every choice is a
function of the workload and of alpha alone.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from loco_redis import AcquireHandle, AsyncLOCOScheduler, SharedResource

Arrivals = Callable[[int], Iterable[tuple[str, float]]]


@dataclass(frozen=True)
class Served:
    """One request: when it came (tick) and how long it waited (ticks)."""

    agent: str
    arrived: int
    waited: int
    finished: bool = True


async def replay(redis_url: str, arrivals: Arrivals, ticks: int, alpha: float) -> list[Served]:
    """Serve `arrivals(tick)` for `ticks` ticks; what is still waiting then comes unfinished."""
    served: list[Served] = []
    waiting: dict[asyncio.Task[AcquireHandle], tuple[str, int]] = {}
    resource = SharedResource(f"alpha-{alpha * 100:.0f}", capacity=1)
    async with AsyncLOCOScheduler(resource=resource, redis=redis_url, alpha=alpha) as scheduler:
        holder = await scheduler.acquire_start(
            "clock"
        )  # holds the slot until the first arrivals wait
        for tick in range(ticks):
            for agent, weight in arrivals(tick):
                request = asyncio.ensure_future(scheduler.acquire_start(agent, weight=weight))
                waiting[request] = agent, tick
            await asyncio.sleep(0)  # let them all ask before the slot is given back
            await scheduler.release_handle(holder)
            if not waiting:
                holder = await scheduler.acquire_start("clock")
                continue
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            (winner,) = done
            holder = winner.result()
            agent, arrived = waiting.pop(winner)
            served.append(Served(agent, arrived, holder.lease.waited_ticks - 1))
        served += [Served(agent, at, ticks - at, False) for agent, at in waiting.values()]
        for request in waiting:
            request.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await scheduler.release_handle(holder)
    return served


def longest_waits(served: list[Served]) -> dict[str, int]:
    """Agent -> the longest of its waits, in ticks."""
    waits: dict[str, int] = {}
    for request in served:
        waits[request.agent] = max(waits.get(request.agent, 0), request.waited)
    return waits


def jains_index(served: list[Served]) -> float:
    """Jain's fairness index of the agents' mean waits: 1 is equal, 1/n is one against all."""
    waits: dict[str, list[int]] = {}
    for request in served:
        waits.setdefault(request.agent, []).append(request.waited)
    means = [sum(w) / len(w) for w in waits.values()]
    return math.fsum(means) ** 2 / (len(means) * math.fsum(m * m for m in means))
