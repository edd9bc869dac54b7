"""A worker process for tests: acquires, tells so line by line on stdout, and does as it is told.

    python worker.py URL AGENT COUNT LEASE [hold]

Without `hold` it passes COUNT times through a slot; with it, it holds each until a line comes in.
"""

from __future__ import annotations

import asyncio
import json
import sys

from loco_redis import AsyncLOCOScheduler, LeaseLostError, SharedResource


def tell(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


async def told() -> None:
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


async def main(url: str, agent: str, count: int, lease_ttl: float, hold: bool) -> None:
    resource = SharedResource("llm", None)
    async with AsyncLOCOScheduler([], resource, redis=url, lease_ttl=lease_ttl) as scheduler:
        tell(event="open", session=scheduler.session_id)
        for _ in range(count):
            try:
                async with scheduler.acquire(agent) as lease:
                    tell(event="held", slot=lease.slot, token=lease.token, task=lease.task.task_id)
                    if hold:
                        await told()
                    tell(event="leaving", slot=lease.slot, token=lease.token)
            except LeaseLostError:
                tell(event="lost", token=lease.token)
    tell(event="closed")


if __name__ == "__main__":
    place, name, times, lease = sys.argv[1:5]
    asyncio.run(main(place, name, int(times), float(lease), sys.argv[5:] == ["hold"]))
