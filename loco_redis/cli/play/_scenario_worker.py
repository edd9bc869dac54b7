"""One worker process of a scenario: asks for each request at its moment, and for what the end of
one brings about at that end."""

from __future__ import annotations

import asyncio
import time

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis.cli.play._inside import Parent, run
from loco_redis.cli.play._scenario_schedule import ROOT, Job


class Worker:
    """Serves its share of the requests; tells its parent what each one met."""

    def __init__(self, scheduler: AsyncLOCOScheduler, parent: Parent, jobs: list[Job]) -> None:
        self._scheduler, self._parent = scheduler, parent
        self._roots = [job for job in jobs if job.after == ROOT]
        self._brought: dict[int, list[Job]] = {}
        for job in jobs:
            self._brought.setdefault(job.after, []).append(job)

    async def play(self, start: float) -> None:
        """From the moment `start` of the machine's monotonic clock until all is served."""
        async with asyncio.TaskGroup() as group:
            for job in self._roots:
                await asyncio.sleep(max(0.0, start + job.at - time.monotonic()))
                group.create_task(self._serve(group, job, start + job.at))

    async def _serve(self, group: asyncio.TaskGroup, job: Job, due: float) -> None:
        """The wait counts from when it was due, so that a worker that lags cannot hide it."""
        async with self._scheduler.acquire(job.agent, weight=job.weight) as lease:
            begun = time.monotonic()
            await asyncio.sleep(job.service)
            ended = time.monotonic()
        self._parent.say(
            "served",
            request=job.number,
            slot=lease.slot,
            token=lease.token,
            due=due,
            start=begun,
            end=ended,
            ticks=lease.waited_ticks,
        )
        for child in self._brought.get(job.number, ()):
            group.create_task(self._serve(group, child, ended))


async def work(parent: Parent) -> None:
    """Told the resource and how many requests there are, those, then the moment to start."""
    plan = await parent.told()
    jobs = [Job(*(await parent.told())) for _ in range(plan["requests"])]
    async with AsyncLOCOScheduler([], SharedResource(plan["name"])) as scheduler:
        parent.say("ready")
        await Worker(scheduler, parent, jobs).play(await parent.told())


if __name__ == "__main__":
    run(work)
