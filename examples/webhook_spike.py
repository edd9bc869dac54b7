"""Batch work keeps two slots busy, then 30 webhooks come: how long do they wait, by alpha?"""

import asyncio
from statistics import median

from loco_redis import AsyncLOCOScheduler, SharedResource


async def play(optimize_for: str) -> None:
    waits: dict[str, list[float]] = {"batch": [], "webhook": []}
    resource = SharedResource(f"spike-{optimize_for}", capacity=2)
    async with AsyncLOCOScheduler(resource=resource, optimize_for=optimize_for) as scheduler:

        async def ask(agent: str, after: float, takes: float) -> None:
            await asyncio.sleep(after)
            async with scheduler.acquire(agent) as lease:
                waits[agent.partition("-")[0]].append(lease.waited)
                await asyncio.sleep(takes)

        batch = [ask(f"batch-{n % 7}", max(0, n - 25) * 0.015, 0.03) for n in range(50)]
        await asyncio.gather(*batch, *(ask("webhook", 0.15, 0.008) for _ in range(30)))
    print(optimize_for, *(f"{name} waited {median(each):.2f} s" for name, each in waits.items()))


for name in ("latency", "balanced", "throughput"):
    asyncio.run(play(name))
