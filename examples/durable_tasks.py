"""Tasks that outlive the process that asked for them: one is submitted here, served there."""

import asyncio

from loco_redis import AsyncLOCOScheduler, SharedResource, Task

RESOURCE = SharedResource("reports", capacity=1)


async def main() -> None:
    async with AsyncLOCOScheduler(resource=RESOURCE) as later:
        async with AsyncLOCOScheduler(resource=RESOURCE) as first:
            for page in range(3):
                await first.submit_task("reports", Task(weight=2.0, payload=b"page %d" % page))
        # The one that submitted has ended; the tasks wait in Redis.
        for _ in range(3):
            async with later.acquire("reports") as lease:
                print(f"serves {lease.task.payload!r}, attempt {lease.task.attempt}")
        print("left:", (await later.snapshot()).durable_tasks)


asyncio.run(main())
