"""A security review by 100 agents on six slots: a step's end brings about others."""

import asyncio
from collections import Counter
from random import Random

from loco_redis import AsyncLOCOScheduler, SharedResource

STEPS = ("triage", 1, 2), ("scan", 2, 0.4), ("verify", 5, 0.6), ("report", 3, 0)  # weight, brings


async def main() -> None:
    dice, done, resource = Random(1), Counter[str](), SharedResource("review", capacity=6)
    async with AsyncLOCOScheduler(resource=resource) as scheduler, asyncio.TaskGroup() as group:

        async def work(place: int) -> None:
            step, weight, brings = STEPS[place]
            async with scheduler.acquire(f"{step}-{dice.randrange(25)}", weight=weight):
                await asyncio.sleep(0.005 * weight)
                done[step] += 1
            for _ in range(int(brings + dice.random())):
                group.create_task(work(place + 1))

        for _ in range(80):
            group.create_task(work(0))
    print("done:", dict(done))


asyncio.run(main())
