"""A process for these tests; prints what happened as JSON when it ends.

python worker.py loop URL COUNT      run_all of COUNT calls with the slots of `llm`
python worker.py count URL TIMES     TIMES increments of one value of a shared context
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis.orchestration.contexts.shared_context import SharedContext
from loco_redis.orchestration.loops.loop import AsyncAgentLoop, AsyncLoopConfig


async def loop(url: str, count: int) -> object:
    """From when to when each call ran, by the machine's monotonic clock."""
    spans: list[tuple[int, int]] = []

    async def work(number: int) -> int:
        began = time.monotonic_ns()
        await asyncio.sleep(0.002)
        spans.append((began, time.monotonic_ns()))
        if number % 7 == 0 and len(spans) % 2:
            raise OSError("again")
        return number

    config = AsyncLoopConfig(max_concurrency=1, backoff_base=0.001, max_retries=100)
    resource = SharedResource("llm", None)
    async with AsyncLOCOScheduler([], resource, redis=url) as scheduler:
        agents = AsyncAgentLoop(config, scheduler)
        results = await agents.run_all([(f"agent-{n % 5}", work, (n,), {}) for n in range(count)])
    return {
        "spans": spans,
        "outputs": [result.output for result in results],
        "retries": sum(result.retries for result in results),
    }


async def count(url: str, times: int) -> object:
    """The values that it stored."""
    async with SharedContext("team", redis=url, ttl=60) as context:
        return [await context.change("hits", lambda n: n + 1, default=0) for _ in range(times)]


if __name__ == "__main__":
    what, place, number = sys.argv[1:]
    done = asyncio.run({"loop": loop, "count": count}[what](place, int(number)))
    sys.stdout.write(json.dumps(done))
