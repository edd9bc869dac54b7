"""A process that does a bit of everything under every kind of rule, until it is killed.

python soak_worker.py URL SEED
"""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import suppress

from loco_redis import (
    AsyncLOCOScheduler,
    BudgetPolicy,
    LocoRedisError,
    PolicyEnforcer,
    RatePolicy,
    SharedResource,
    SLOBudget,
    Task,
    TrustScorer,
)
from loco_redis.governance._rules import govern, tenant
from tests.schedulers import NAME

AGENTS = ("a1", "a2", "a3", "t1/x", "t1/y", "t1/z", "t1/w", "t2/q", "t2/r")
RESOURCE = SharedResource(NAME, 6, rpm=30_000, tpm=3_000_000, rpm_burst=30, tpm_burst=20_000)


async def work(scheduler: AsyncLOCOScheduler, rng: random.Random) -> None:
    """One step after another; what is refused or fails on purpose is part of it."""
    assert scheduler.budget is not None
    while True:
        agent, kind = rng.choice(AGENTS), rng.random()
        task = Task(cost=rng.randint(1, 9), tokens=rng.randint(0, 200), team="x", session_id="s")
        with suppress(LocoRedisError, ValueError):
            if kind < 0.1:
                await scheduler.submit_task(agent, task)
            elif kind < 0.12:
                await scheduler.budget.reset(agent)
            elif kind < 0.13:
                await scheduler.set_max_concurrency("a1", rng.choice((None, 1, 2)))
            elif kind < 0.15:
                await scheduler.reconfigure(alpha=rng.choice((0.0, 0.25, 0.5)))
            else:
                await hold(scheduler, rng, agent, task if kind < 0.7 else None)


async def hold(
    scheduler: AsyncLOCOScheduler, rng: random.Random, agent: str, task: Task | None
) -> None:
    async with scheduler.acquire(agent, task, timeout=rng.choice((None, 0.05, 2.0))) as lease:
        await asyncio.sleep(rng.random() / 100)
        if rng.random() < 0.2:
            await lease.settle(rng.random() * 12, tokens=rng.randint(0, 300))
        if rng.random() < 0.005:
            await lease.throttled(0.05)
        if rng.random() < 0.02:
            raise ValueError("it went wrong")


async def main(url: str, seed: str) -> None:
    rng = random.Random(int(seed))
    modes, periods = ("reject", "alert", "downgrade"), (None, 1.5)
    async with AsyncLOCOScheduler(
        [],
        RESOURCE,
        redis=url,
        lease_ttl=1.0,
        budget=BudgetPolicy(500, rng.choice(modes), rng.choice(periods)),
        enforcer=PolicyEnforcer([RatePolicy({"a2": 200.0}, period=1.0)]),
        trust_scorer=TrustScorer(),
        slo=SLOBudget(),
        adaptive_capacity=True,
        auto_tune=True,
    ) as scheduler:
        session = await scheduler._connected()
        await govern(session, tenant(b"t1", 3, 400_000, 2) | tenant(b"t2", None, None, 1))
        await asyncio.gather(*(work(scheduler, rng) for _ in range(25)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
