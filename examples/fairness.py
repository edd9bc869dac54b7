"""A whale with twelve callers and six minnows with two each ask on and on; who gets how much?"""

import asyncio

from loco_redis import AsyncLOCOScheduler, SharedResource

CALLERS = {"whale": 12, **{f"minnow-{number}": 2 for number in range(6)}}


async def play(optimize_for: str) -> None:
    resource = SharedResource(f"fairness-{optimize_for}", capacity=3)
    async with AsyncLOCOScheduler(resource=resource, optimize_for=optimize_for) as scheduler:
        got = dict.fromkeys(CALLERS, 0)

        async def ask_on(agent: str) -> None:
            while sum(got.values()) < 150:
                async with scheduler.acquire(agent):
                    await asyncio.sleep(0.01)
                    got[agent] += 1

        callers = [ask_on(agent) for agent, count in CALLERS.items() for _ in range(count)]
        await asyncio.gather(*callers)
        print(f"{optimize_for}: Jain's index {await scheduler.metrics.jains_fairness():.2f}, {got}")


for name in ("latency", "balanced", "throughput"):
    asyncio.run(play(name))
