"""One worker process of a replay: asks for each request at its time, however long the queue is."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis.cli.play._inside import Parent, run


class Planned(NamedTuple):
    """One request as the command hands it out; times are seconds of the wall clock."""

    number: int
    at: float
    agent: str
    weight: float
    service: float
    cost: float


async def work(parent: Parent) -> None:
    """Told the resource and the count, then the requests in order of time, then "go"."""
    plan = await parent.told()
    planned = [Planned(*(await parent.told())) for _ in range(plan["requests"])]
    async with AsyncLOCOScheduler([], SharedResource(plan["name"])) as scheduler:
        parent.say("ready")
        await parent.told()
        start = time.monotonic()
        async with asyncio.TaskGroup() as requests:
            for request in planned:
                await asyncio.sleep(max(0.0, start + request.at - time.monotonic()))
                requests.create_task(_serve(scheduler, parent, request, start + request.at))


async def _serve(
    scheduler: AsyncLOCOScheduler, parent: Parent, request: Planned, due: float
) -> None:
    """The wait counts from the recorded moment, so a worker that lags cannot hide it."""
    async with scheduler.acquire(request.agent, weight=request.weight) as lease:
        begun = time.monotonic()
        await asyncio.sleep(request.service)
        await lease.settle(request.cost)
        ended = time.monotonic()
    parent.say(
        "served",
        request=request.number,
        slot=lease.slot,
        token=lease.token,
        start=begun,
        end=ended,
        waited=begun - due,
        ticks=lease.waited_ticks,
    )


if __name__ == "__main__":
    run(work)
