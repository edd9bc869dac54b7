"""A process of a fleet that routes; it does what it is told, a JSON line each.

    python worker.py REDIS_URL OPENAI_URL_OF_A OPENAI_URL_OF_B

"pick": so many routes, one after the other. "call": so many calls at once, over HTTP; says how they
ended. "hold": so many routes, held until the process ends.
"""

from __future__ import annotations

import asyncio
import json
import sys

import httpx

from loco_redis.orchestration.routing import Backend, Breaker, NoBackendError, Router
from tests.orchestration.routing.routers import NAME
from tests.orchestration.routing.test_calls import ask
from tests.waiting import eventually

BREAKER = Breaker(errors=4, open_for=60)
FLIGHT_TTL = 1.0


def tell(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def router(redis: str, *urls: str) -> Router:
    backends = [Backend(n, 20, base_url=url) for n, url in zip("ab", urls, strict=True)]
    return Router(
        NAME,
        backends,
        redis,
        strategy="round_robin",
        breaker=BREAKER,
        lease_ttl=2.0,
        flight_ttl=FLIGHT_TTL,
    )


async def call(router: Router) -> str:
    try:
        return await router.call("agent", ask)
    except (NoBackendError, httpx.HTTPError) as error:
        return type(error).__name__


async def hold(router: Router, held: list[str]) -> None:
    async with router.route("agent") as route:
        held.append(route.backend.name)
        await asyncio.Event().wait()


async def main(redis: str, *urls: str) -> None:
    holders: list[asyncio.Task[None]] = []
    async with router(redis, *urls) as shared:
        tell(ready=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            order = json.loads(line)
            count, found = order["count"], []
            if order["do"] == "pick":
                for _ in range(count):
                    async with shared.route("agent") as route:
                        found.append(route.backend.name)
            elif order["do"] == "call":
                found = await asyncio.gather(*(call(shared) for _ in range(count)))
            else:
                holders += [asyncio.create_task(hold(shared, found)) for _ in range(count)]
                await eventually(lambda wanted=count, held=found: len(held) == wanted)
            tell(found=found)
        for holder in holders:
            holder.cancel()
        await asyncio.gather(*holders, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
