"""Plans for tests of commands, in states of which nobody has to be waited for."""

from __future__ import annotations

import asyncio

from loco_redis.orchestration.plans import Plan, Step
from loco_redis.orchestration.plans._store import Claim, opened

#: Seven steps in all states but cancelled.
NIGHTLY = Plan(
    [
        Step("fetch", agent="reader"),
        Step("flaky", depends_on=["fetch"], retries=1),
        Step("bad", depends_on=["fetch"], on_failure="skip"),
        Step("below bad", depends_on=["bad"]),
        Step("slow", depends_on=["fetch"]),
        Step("silent", depends_on=["fetch"]),
        Step("report", depends_on=["slow", "flaky"]),
    ],
    name="the night's work",
)


def plant(url: str, plan_id: str, plan: Plan = NIGHTLY, *, error: str = "OSError: away") -> None:
    """Store a plan, and do of it what its steps' names say."""

    async def do() -> None:
        async with opened(url, plan_id) as store:
            ordered = Plan([_named(plan, name) for name in plan.topological_sort()], plan.name)
            await store.open(ordered, plan.digest, "{}", 3600)
            silent: list[Claim] = []
            while True:
                look = await store.claim("host:1:abc", 60, 1, (), False)
                if not look.claims:
                    await store.renew(0.000001, silent)
                    return
                (claim,) = look.claims
                name = ordered.steps[claim.place].name
                if name == "slow":
                    await store.renew(3600, [claim])
                elif name == "silent":
                    await store.renew(3600, [claim])
                    silent.append(claim)
                else:
                    outcome = "failed" if name in ("bad", "flaky") else "done"
                    await store.finish(claim, outcome, error if outcome == "failed" else "1", 3600)

    asyncio.run(do())


def _named(plan: Plan, name: str) -> Step:
    return next(step for step in plan.steps if step.name == name)
