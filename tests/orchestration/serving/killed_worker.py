"""A worker process for tests that kill it: what its handlers do is in a journal file.

    python -m tests.orchestration.serving.killed_worker URL JOURNAL DEATHS

A line is written by one call, before and after the work: KIND LANE TASK TOKEN MOMENT, where KIND is
B (begun), E (ended well), F (failed), or K (the process kills itself now). It does so in a share of
DEATHS of its tasks when they have begun, and in as many when the work has ended and nobody knows: a
moment that who kills from outside seldom meets. A lane serves one task after the other, and takes
the next only once Redis has taken the outcome of the one before.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis.lease import Lease

NAME = "llm"
LEASE_TTL = 1.0
CONCURRENCY = 8
POISON = b"poison"


async def main(url: str, path: str, deaths: float) -> None:
    journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def handle(lease: Lease) -> int:
        lane = asyncio.current_task()
        assert lane is not None
        dies_at = random.choices("BE-", (deaths, deaths, 1 - 2 * deaths))[0]

        def note(kind: str) -> None:
            place = lane.get_name().rpartition(".")[2]
            facts = f"{kind} {place} {lease.task.task_id} {lease.token} {time.monotonic():.6f}\n"
            os.write(journal, facts.encode())
            if kind == dies_at:
                note("K")
                os.kill(os.getpid(), signal.SIGKILL)

        note("B")
        number, _, kind = (lease.task.payload or b"").partition(b" ")
        await asyncio.sleep(random.uniform(0.001, 0.002))
        if kind == POISON:
            note("F")
            raise RuntimeError(f"task {int(number)} cannot be done")
        note("E")
        return int(number)

    resource = SharedResource(NAME)
    async with AsyncLOCOScheduler(resource=resource, redis=url, lease_ttl=LEASE_TTL) as scheduler:
        await scheduler.worker({"*": handle}, concurrency=CONCURRENCY).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
