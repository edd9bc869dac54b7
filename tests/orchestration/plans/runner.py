"""A process for tests that runs a plan, and may kill itself at a point of it.

    python runner.py URL PLAN_ID CAPACITY PLAN POINT:STEP

PLAN is JSON. What handlers do is written into the list `journal` of Redis: `begin STEP PID TOKEN`
and `end STEP PID TOKEN`. A handler waits while the key `gate:STEP` exists. Points: claim (before
its slot), handler, said (the handler has ended, Redis does not know), finished (Redis knows).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis.orchestration.plans import Plan, StepContext
from loco_redis.orchestration.plans._attempt import Attempts
from loco_redis.orchestration.plans._store import Store

ROOT = Path(__file__).parents[3]
CLAIM_TTL = 1.0


def die_at(point: str, step: str, steps: list[str]) -> None:
    """SIGKILL of this process at the first time it comes there."""

    def around(kind: type, name: str, before: str, after: str) -> None:
        plain = getattr(kind, name)

        async def call(self: Any, claim: Any, *args: Any, **options: Any) -> Any:
            is_it = steps[claim.place] == step
            if is_it and point == before:
                os.kill(os.getpid(), signal.SIGKILL)
            found = await plain(self, claim, *args, **options)
            if is_it and point == after:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        setattr(kind, name, call)

    around(Attempts, "make", "claim", "said")
    around(Store, "finish", "", "finished")


async def main(url: str, plan_id: str, capacity: int, plan: Plan, death: str) -> None:
    point, _, victim = death.partition(":")
    die_at(point, victim, plan.topological_sort())
    journal = redis.asyncio.Redis.from_url(url)

    async def handle(context: StepContext) -> int:
        facts = f"{context.step.name} {os.getpid()} {context.token}"
        await journal.rpush("journal", f"begin {facts}")
        if point == "handler" and context.step.name == victim:
            os.kill(os.getpid(), signal.SIGKILL)
        # What another process does is only seen by looking.
        while await journal.exists(f"gate:{context.step.name}"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await journal.rpush("journal", f"end {facts}")
        return os.getpid()

    resource = SharedResource("llm", capacity)
    async with AsyncLOCOScheduler(resource=resource, redis=url, lease_ttl=1.0) as scheduler:
        await plan.run(
            scheduler, {"*": handle}, plan_id=plan_id, claim_ttl=CLAIM_TTL, concurrency=4
        )
    await journal.aclose()


class Runners:
    """Starts such processes on one server, and ends them all."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._started: list[subprocess.Popen[bytes]] = []

    def __call__(
        self, plan: Plan, plan_id: str = "p", death: str = "", capacity: int = 8
    ) -> subprocess.Popen[bytes]:
        text = json.dumps(plan.to_dict())
        process = subprocess.Popen(
            [sys.executable, __file__, self.url, plan_id, str(capacity), text, death],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()


@pytest.fixture
def runners(redis_url: str) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """A starter of runner processes on the default server."""
    started = Runners(redis_url)
    yield started
    started.end()


if __name__ == "__main__":
    address, name, slots, described, dies = sys.argv[1:6]
    made = Plan.from_dict(json.loads(described))
    asyncio.run(main(address, name, int(slots), made, dies))
