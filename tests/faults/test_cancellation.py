"""Cancellation at every await: CancelledError emerges, and nothing is held afterwards."""

from __future__ import annotations

import asyncio

import pytest

from loco_redis import AsyncLOCOScheduler, Lease, Task
from loco_redis._scripts import Scripts
from tests.cancelling import cancel_everywhere
from tests.faults.conftest import Seen
from tests.proxy import proxied
from tests.schedulers import Schedulers
from tests.waiting import eventually


async def test_cancellation_with_a_free_slot(schedulers: Schedulers, seen: Seen) -> None:
    """Asking, holding, settling, releasing, with async callbacks, at every suspension."""

    async def notice(lease: Lease, error: BaseException | None = None) -> None:
        await asyncio.sleep(0)

    scheduler = schedulers(on_task_started=notice, on_task_completed=notice)

    async def work() -> None:
        async with scheduler.acquire("a", weight=2.0, timeout=5.0) as lease:
            await asyncio.sleep(0)
            await lease.settle(1.0)

    async with scheduler:
        suspensions = await cancel_everywhere(work, lambda: _all_free(schedulers))
        assert suspensions >= 6
    _tell(seen, suspensions, "a whole passage, with callbacks")


async def test_cancellation_of_a_durable_task(schedulers: Schedulers, seen: Seen) -> None:
    """Also while the body of the task is fetched: then the task is queued as before."""

    async def work() -> None:
        async with scheduler.acquire("a") as lease:
            assert lease.task.payload == b"x"
            await asyncio.sleep(0)

    async def refill() -> None:
        await _all_free(schedulers)
        tasks = schedulers.dump().tasks
        if not tasks:
            await scheduler.submit_task("a", Task(payload=b"x", max_attempts=1))

    async with schedulers() as scheduler:
        await refill()
        suspensions = await cancel_everywhere(work, refill)
        async with scheduler.acquire("a"):
            pass
    _tell(seen, suspensions, "a durable task")


@pytest.mark.parametrize("by", ["reply", "hint"])
async def test_cancellation_of_a_waiter(schedulers: Schedulers, seen: Seen, by: str) -> None:
    """While the grant is on its way: by the same session's reply, by a hint from another."""

    async def work() -> None:
        handle = await holder.acquire_start("h")
        releasing = asyncio.create_task(_release_when_waited_for(schedulers, holder, handle))
        try:
            async with scheduler.acquire("a"):
                await asyncio.sleep(0)
        finally:
            releasing.cancel()
            await asyncio.gather(releasing, return_exceptions=True)
            await asyncio.shield(holder.release_handle(handle))

    async with schedulers() as scheduler, schedulers() as other:
        holder = scheduler if by == "reply" else other
        suspensions = await cancel_everywhere(work, lambda: _all_free(schedulers))
    _tell(seen, suspensions, f"a waiter whose grant comes by a {by}")


async def test_cancellation_of_the_split_form(schedulers: Schedulers, seen: Seen) -> None:
    """A handle that was never returned holds nothing; one that was is released."""

    async def work() -> None:
        handle = await scheduler.acquire_start("a")
        await scheduler.release_handle(handle)

    async with schedulers() as scheduler:
        suspensions = await cancel_everywhere(work, lambda: _all_free(schedulers))
    _tell(seen, suspensions, "acquire_start and release_handle")


async def test_cancellation_while_opening_and_closing(schedulers: Schedulers, seen: Seen) -> None:
    """A scheduler cancelled while it opens or closes leaves no session and no work behind."""
    made: list[AsyncLOCOScheduler] = []

    async def work() -> None:
        scheduler = schedulers()
        made.append(scheduler)
        async with scheduler, scheduler.acquire("a"):
            await asyncio.sleep(0)

    async def closed() -> None:
        await made.pop().aclose()
        assert not schedulers.dump().sessions
        await _all_free(schedulers)

    suspensions = await cancel_everywhere(work, closed)
    assert suspensions > 5
    _tell(seen, suspensions, "opening and closing a scheduler")


async def test_cancellation_of_calls_that_are_made_once(schedulers: Schedulers, seen: Seen) -> None:
    """A cancelled submit has run or will never run; the scheduler goes on."""

    async def work() -> None:
        await scheduler.submit_task("a")

    async def drained() -> None:
        for task_id in schedulers.dump().tasks:
            await scheduler.cancel_task(task_id.decode())

    async with schedulers() as scheduler:
        suspensions = await cancel_everywhere(work, drained)
    _tell(seen, suspensions, "submit_task")


async def test_cancellation_while_replies_are_lost(schedulers: Schedulers, seen: Seen) -> None:
    """Whether the acquire had run is unknown at that moment: it is found out and taken back."""

    async def work() -> None:
        for script in ("acquire", "release", "cancel"):
            proxy.lose_reply_of(Scripts("llm").sha(script))
        async with scheduler.acquire("a") as lease:
            assert lease.token
            await asyncio.sleep(0)

    async with proxied(schedulers.server) as proxy:
        async with schedulers(redis=proxy.url) as scheduler:
            suspensions = await cancel_everywhere(work, lambda: _all_free(schedulers))
            snapshot = await scheduler.snapshot()
            assert snapshot.reclaimed == 0
    _tell(seen, suspensions, f"a passage, while {proxy.lost} replies were lost")


async def test_cancellation_before_it_was_sent(schedulers: Schedulers) -> None:
    """Of a crowd withdrawn in the turn in which it came, those not sent yet never reach Redis."""
    async with schedulers() as scheduler:
        serial = (await scheduler.snapshot()).serial
        requests = scheduler._session.requests  # type: ignore[union-attr]
        for request in [requests.acquire("a", b"a", None, None) for _ in range(100)]:
            requests.withdraw(request)
        assert (await scheduler.snapshot()).serial - serial <= 40
        await _all_free(schedulers)


async def test_cancellation_of_a_thousand_waiters(schedulers: Schedulers, seen: Seen) -> None:
    """A crowd that gives up at random leaves the slot to those who stay."""
    async with schedulers(capacity=2) as scheduler:
        tasks = [asyncio.create_task(_pass(scheduler, index)) for index in range(1000)]
        for index, task in enumerate(tasks):
            if index % 3:
                task.cancel()
            if index % 10 == 0:
                await asyncio.sleep(0)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await _all_free(schedulers)
        assert not [r for r in results if r and not isinstance(r, asyncio.CancelledError)]
        released = (await scheduler.snapshot()).released
        assert released >= 334
    seen("1,000 waiters, two thirds of them cancelled", f"{released} served, nothing held after")


def _tell(seen: Seen, suspensions: int, what: str) -> None:
    seen(
        f"cancelled early and late at each of the {suspensions} suspensions of {what}",
        "CancelledError each time, nothing held afterwards",
    )


async def _pass(scheduler: AsyncLOCOScheduler, index: int) -> None:
    async with scheduler.acquire(f"agent-{index % 7}"):
        await asyncio.sleep(0)


async def _release_when_waited_for(schedulers, holder, handle) -> None:  # type: ignore[no-untyped-def]
    await eventually(lambda: schedulers.waiting() == 1)
    await holder.release_handle(handle)


async def _all_free(schedulers: Schedulers) -> None:
    def free() -> bool:
        dump = schedulers.dump()
        return not dump.holders and not dump.requests

    await eventually(free, what="every slot free")
