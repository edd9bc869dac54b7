"""Everything that two schedulers of a resource do, in a second: what a worker's rights must suffice
for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from loco_redis import (
    AcquireTimeoutError,
    Agent,
    AsyncLOCOScheduler,
    BudgetPolicy,
    LeaseLostError,
    SharedResource,
    SLOBudget,
    Task,
    TrustScorer,
)
from loco_redis._presence import Asked
from tests.waiting import eventually

LEASE = 0.4


async def play(url: str, name: str) -> int:
    """Open, acquire, wait, release, cancel, submit, serve, settle, reconfigure, govern, throttle,
    lose a lease, read figures, close. Returns how many slots were granted."""
    governed: dict[str, Any] = {
        "budget": BudgetPolicy(default_limit=1000, on_exceeded="alert"),
        "trust_scorer": TrustScorer(),
        "slo": SLOBudget(),
        "auto_tune": True,
        "adaptive_capacity": True,
        "events": 1000,
        "lease_ttl": LEASE,
    }
    resource = SharedResource(name, capacity=1, rpm=600_000, tpm=10**9)
    async with AsyncLOCOScheduler(
        [Agent("a", max_concurrency=1)], resource, redis=url, **governed
    ) as one:
        async with AsyncLOCOScheduler([], SharedResource(name), redis=url) as two:
            await _hand_over(one, two)
            await _serve(one, two)
            await _govern(one)
            await _lose(one, two)
            await _look(one)
            return (await one.snapshot()).granted


async def _hand_over(one: AsyncLOCOScheduler, two: AsyncLOCOScheduler) -> None:
    """A grant that another process has made; a request that is given up."""
    handle = await one.acquire_start("a")
    waiting = [asyncio.create_task(two.acquire_start(agent)) for agent in ("b", "acme/c")]
    await eventually(lambda: two._session and len(two._session.ledger.requests) == 2)
    with pytest.raises(AcquireTimeoutError):
        await two.acquire_start("late", timeout=0.02, nested="allow")
    await one.release_handle(handle)
    for served in asyncio.as_completed(waiting):
        await two.release_handle(await served)


async def _serve(one: AsyncLOCOScheduler, two: AsyncLOCOScheduler) -> None:
    task = Task(weight=2.0, payload=b"\x00", max_attempts=2, team="t", labels={"input": "public"})
    await one.submit_task("a", task)
    await one.cancel_task(await one.submit_task("b", task))
    async with two.acquire("a") as lease:
        assert lease.task.payload == b"\x00"
        await lease.settle(cost=5000.0)  # beyond its budget: the next one is an alert
        await lease.throttled(0.001)
    async with two.acquire("a", task=Task(weight=1.0)):
        pass


async def _govern(one: AsyncLOCOScheduler) -> None:
    assert await one.reconfigure(capacity=2) == 2
    await one.register_agent(Agent("new", agent_type="kind"))
    await one.unregister_agent("new")
    await one.operations.pause()
    await one.operations.resume()
    assert one.budget is not None
    await one.budget.set_limit("b", 7.0)
    await one.budget.record_spend("b", 1.0)
    await one.budget.reset_all()
    assert one.trust_scorer is not None
    await one.trust_scorer.record_error("b")
    await one.metrics.record_actual_tokens("a", "kind", 100)


async def _lose(one: AsyncLOCOScheduler, two: AsyncLOCOScheduler) -> None:
    """A process that falls silent while it holds is reclaimed; a holder is evicted by hand."""
    session = one._session
    assert session is not None
    scripts, outbox = session.scripts, session.outbox
    nothing = Asked().in_script_units()
    await outbox.send(scripts.open(session="dead", seen=0, info="host|1", **nothing), 5.0)
    call = {"session": "dead", "floor": 0, "seen": 0, "sequence": 1}
    await outbox.send(scripts.acquire(**call, agent=b"dead", weight=1000), 5.0)
    while (await one.snapshot()).reclaimed == 0:
        await one.operations.reap()
        await asyncio.sleep(LEASE / 4)
    with pytest.raises(LeaseLostError):  # noqa: PT012  the body is what is evicted
        async with two.acquire("b") as lease:
            await one.operations.release(lease.token)
            await asyncio.Event().wait()


async def _look(one: AsyncLOCOScheduler) -> None:
    assert (await one.get_agent("a")).agent_id == "a"
    assert (await one.metrics.cost_by_agent())["a"] >= 5000.0
    await one.metrics.wait_times()
    await one.metrics.attribution.cost_by_team()
    assert one.budget is not None
    await one.budget.summary()
    await one.budget.alerts()
