"""How a run keeps its claims, loses them, and holds its slots for as long as it must."""

from __future__ import annotations

import asyncio
import threading

import pytest

from loco_redis.orchestration.plans import Plan, Progress, Step, StepContext
from loco_redis.orchestration.plans._store import Claim, opened
from tests.schedulers import Schedulers
from tests.waiting import eventually

ONE = Plan([Step("a")])


async def test_a_long_step_keeps_its_claim(schedulers: Schedulers) -> None:
    """It is renewed in time, again and again: another who waits for it never gets it."""
    scheduler, gate, dues = schedulers(capacity=2), asyncio.Event(), set[float | None]()

    async def wait(context: StepContext) -> str:
        await gate.wait()
        return "mine"

    first = asyncio.create_task(ONE.run(scheduler, {"*": wait}, plan_id="p", claim_ttl=2.0))
    await eventually(lambda: schedulers.server.client.exists("loco:{plan:p}:plan"))
    async with opened(scheduler, "p") as store, asyncio.timeout(20):
        second = asyncio.create_task(
            ONE.run(scheduler, {"*": lambda _: "stolen"}, plan_id="p", claim_ttl=2.0)
        )
        while len(dues) < 5:  # the first, and four renewals: longer than claim_ttl
            (step,) = (await store.status())[0].steps
            dues.add(step.due)
            await asyncio.sleep(0.01)
    gate.set()
    for result in await asyncio.gather(first, second):
        assert result.results == {"a": "mine"}


async def test_a_step_that_another_has_taken_over_is_cancelled(schedulers: Schedulers) -> None:
    """Its run goes on, and gives what the other one has said."""
    scheduler, begun, cancelled = schedulers(), asyncio.Event(), asyncio.Event()

    async def wait(context: StepContext) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    run = asyncio.create_task(ONE.run(scheduler, {"*": wait}, plan_id="p", claim_ttl=2.0))
    await begun.wait()
    async with opened(scheduler, "p") as store, asyncio.timeout(10):
        (step,) = (await store.status())[0].steps
        await store.renew(0.000001, [Claim(0, step.token, 1, 0)])
        (theirs,) = (await store.claim("other", 60, 1, (), False)).claims
        await cancelled.wait()
        await store.finish(theirs, "done", '"theirs"')
        assert (await run).results == {"a": "theirs"}


async def test_a_thread_keeps_its_slot_until_it_ends(schedulers: Schedulers) -> None:
    """Although the run was cancelled: nobody else gets the slot while the function still works."""
    scheduler, begun, gate = schedulers(capacity=1), asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work(context: StepContext) -> None:
        loop.call_soon_threadsafe(begun.set)
        assert gate.wait(10)

    run = asyncio.create_task(ONE.run(scheduler, {"*": work}, plan_id="p"))
    await begun.wait()
    run.cancel()
    other = scheduler.acquire("other", timeout=0.2)
    with pytest.raises(TimeoutError):
        await other.__aenter__()
    assert not run.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert (await Plan.status(scheduler, "p")).steps[0].state == "pending"


async def test_the_last_news_are_told_to_their_end(schedulers: Schedulers) -> None:
    """Although the plan has ended, and the claims with it."""
    told: list[str] = []

    async def slow(news: Progress) -> None:
        await asyncio.sleep(0.3)
        told.append(news.state)

    await ONE.run(schedulers(), {"*": lambda _: 1}, on_progress=slow, claim_ttl=0.2)
    assert told == ["running", "done"]
