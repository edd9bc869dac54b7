"""One agent asks 40 times at once beside small agents that go on: who waits how long?"""

import asyncio
from statistics import median

from loco_redis import AsyncLOCOScheduler, SharedResource

waits: dict[str, list[float]] = {"burst": [], "small": []}


async def main() -> None:
    async with AsyncLOCOScheduler(resource=SharedResource("burst", capacity=4)) as scheduler:

        async def ask(agent: str) -> None:
            async with scheduler.acquire(agent) as lease:
                waits[agent.partition("-")[0]].append(lease.waited)
                await asyncio.sleep(0.02)

        async with asyncio.TaskGroup() as group:
            for number in range(150):  # 3 slots of the 4 would do for these alone
                group.create_task(ask(f"small-{number % 7}"))
                for _ in range(40 if number == 30 else 0):
                    group.create_task(ask("burst"))
                await asyncio.sleep(0.007)
    for name, each in waits.items():
        print(f"{name}: {len(each)} served, waited {median(each):.2f} s, at most {max(each):.2f} s")


asyncio.run(main())
