"""A process for tests: `python waiter.py URL AGENT NAME...` asks for resources of the group `g`,
says `waiting` and then `holding` on stdout, and holds until it is killed or a line comes in."""

from __future__ import annotations

import asyncio
import sys

from loco_redis import SharedResource
from loco_redis.orchestration.pools.pool import ResourcePool


def tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def main(url: str, agent: str, names: list[str]) -> None:
    async with ResourcePool(redis=url, lease_ttl=1.0) as pool:
        for name in names:
            pool.add(SharedResource(name, 1, group="g"))
        tell("waiting")
        async with pool.acquire_multiple(agent, names):
            tell("holding")
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    tell("done")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
