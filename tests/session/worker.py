"""A worker process for tests: acquires, tells so line by line on stdout, and does as it is told.

    python worker.py URL AGENT COUNT LEASE [hold | settle]

Without a mode it passes COUNT times through a slot; with `hold` it holds each until a line comes
in; with `settle` it does so, too, and settles a lease that it has lost, twice.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress

from loco_redis import AsyncLOCOScheduler, LeaseLostError, SharedResource

LATE_COST = 3.0


def tell(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


async def told() -> None:
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


async def main(url: str, agent: str, count: int, lease_ttl: float, mode: str) -> None:
    resource = SharedResource("llm", None)
    async with AsyncLOCOScheduler([], resource, redis=url, lease_ttl=lease_ttl) as scheduler:
        tell(event="open", session=scheduler.session_id)
        for _ in range(count):
            try:
                async with scheduler.acquire(agent) as lease:
                    tell(
                        event="held",
                        slot=lease.slot,
                        token=lease.token,
                        task=lease.task.task_id,
                        request=lease.request_id,
                    )
                    if mode:
                        await told()
                    tell(event="leaving", slot=lease.slot, token=lease.token)
            except LeaseLostError:
                if mode == "settle":
                    await lease.settle(LATE_COST)
                    with suppress(LeaseLostError):
                        await lease.settle(LATE_COST)
                tell(event="lost", token=lease.token)
    tell(event="closed")


if __name__ == "__main__":
    place, name, times, lease = sys.argv[1:5]
    asyncio.run(main(place, name, int(times), float(lease), "".join(sys.argv[5:])))
