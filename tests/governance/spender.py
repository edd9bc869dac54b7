"""A process that spends from a budget: told what to do line by line, it tells what it got.

python spender.py URL AGENT LIMIT        acquire N | settle COST | fail
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress

from loco_redis import AcquireHandle, AsyncLOCOScheduler, SharedResource, Task
from loco_redis.errors import BudgetExceededError
from loco_redis.governance import BudgetPolicy


def tell(event: str, **facts: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


async def acquire(scheduler: AsyncLOCOScheduler, agent: str, times: int) -> list[AcquireHandle]:
    """So many at once, of cost 10 each; tells how many were granted and how many refused."""
    asked = (scheduler.acquire_start(agent, Task(cost=10.0), timeout=10.0) for _ in range(times))
    results = await asyncio.gather(*asked, return_exceptions=True)
    held = [result for result in results if isinstance(result, AcquireHandle)]
    refused = sum(isinstance(result, BudgetExceededError) for result in results)
    tell("acquired", granted=len(held), refused=refused)
    return held


async def main(url: str, agent: str, limit: str) -> None:
    resource = SharedResource("llm", capacity=50)
    budget = BudgetPolicy(limits={agent: float(limit)})
    held: list[AcquireHandle] = []
    async with AsyncLOCOScheduler(
        [], resource, redis=url, lease_ttl=1.0, budget=budget
    ) as scheduler:
        tell("ready")
        while line := await asyncio.to_thread(sys.stdin.readline):
            match line.split():
                case ["acquire", times]:
                    held += await acquire(scheduler, agent, int(times))
                    continue
                case ["settle", cost]:
                    for handle in held:
                        await handle.lease.settle(float(cost))
                        await scheduler.release_handle(handle)
                case ["fail"]:
                    for handle in held:
                        with suppress(ValueError):
                            await scheduler.release_handle(handle, ValueError("it went wrong"))
            tell("released", leases=len(held))
            held.clear()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
