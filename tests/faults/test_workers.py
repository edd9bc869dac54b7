"""Worker processes that are killed, or stopped and continued, at any moment."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from loco_redis import AsyncLOCOScheduler, Task
from loco_redis.governance import BudgetPolicy
from tests.faults.conftest import Seen
from tests.schedulers import Schedulers
from tests.waiting import eventually
from tests.workers import Worker, Workers

LEASE = 0.5
# P4: a lease, the time until the next heartbeat of somebody alive, and a second for slow machines.
RECLAIMED_WITHIN = LEASE + LEASE / 4 + 1.0
STOPPED_FOR = 3 * LEASE
LATE_COST = 3.0  # of worker.py
KILLS = 10


class Load:
    """Passes through slots all the time, and remembers the tokens and the longest wait."""

    def __init__(self, scheduler: AsyncLOCOScheduler) -> None:
        self._scheduler = scheduler
        self.tokens: list[int] = []
        self.longest = 0.0

    @asynccontextmanager
    async def __call__(self, agents: int) -> AsyncIterator[Load]:
        passing = [asyncio.create_task(self._pass(f"load-{index}")) for index in range(agents)]
        try:
            yield self
        finally:
            for task in passing:
                task.cancel()
            ends = await asyncio.gather(*passing, return_exceptions=True)
            assert {type(end) for end in ends} == {asyncio.CancelledError}, ends

    async def _pass(self, agent: str) -> None:
        while True:
            async with self._scheduler.acquire(agent) as lease:
                self.tokens.append(lease.token)
                self.longest = max(self.longest, lease.waited)
                await asyncio.sleep(0.01)


async def told(worker: Worker, event: str) -> dict[str, Any]:
    return await asyncio.to_thread(worker.expect, event)


async def reclaimed(schedulers: Schedulers, session: str, since: float) -> float:
    """Seconds after `since` at which nothing of the session was left."""
    await eventually(
        lambda: session.encode() not in schedulers.dump().sessions, what=f"the end of {session}"
    )
    return time.monotonic() - since


async def test_worker_killed_at_random_moments(
    schedulers: Schedulers, workers: Workers, seen: Seen
) -> None:
    """Whatever a process does when SIGKILL strikes, all of it is reclaimed in time, and the others
    go on: none of their waits is longer than that."""
    rng = random.Random(4)
    took: list[float] = []
    async with schedulers(capacity=3, lease_ttl=LEASE) as scheduler:
        async with Load(scheduler)(agents=4) as load:
            for _ in range(KILLS // 5):
                # Two hold and the third slot is left to the others; three pass, or wait.
                modes = [("hold",), ("hold",), (), (), ()]
                crew = [workers("victim", 100_000, LEASE, *mode) for mode in modes]
                sessions = [(await told(victim, "open"))["session"] for victim in crew]
                for holder in crew[:2]:
                    await told(holder, "held")
                ending = []
                for victim, session in zip(crew, sessions, strict=True):
                    await asyncio.sleep(rng.random() * 0.05)
                    victim.signal(signal.SIGKILL)
                    ending.append(reclaimed(schedulers, session, time.monotonic()))
                took += await asyncio.gather(*ending)
                before = len(load.tokens)
                await eventually(lambda before=before: len(load.tokens) > before)
        snapshot = await scheduler.snapshot()
    assert len(took) == KILLS
    assert max(took) < RECLAIMED_WITHIN
    assert load.longest < RECLAIMED_WITHIN
    assert len(set(load.tokens)) == len(load.tokens)
    assert snapshot.peak <= 3
    assert snapshot.reclaimed >= KILLS * 2 / 5
    seen(
        f"{KILLS} processes killed while holding, waiting, passing; 4 others passed "
        f"{len(load.tokens)} times meanwhile (lease {LEASE:g} s)",
        f"reclaimed after {min(took):.2f} to {max(took):.2f} s (bound {RECLAIMED_WITHIN:.2f} s); "
        f"longest wait of the others {load.longest:.2f} s; 0 tokens given twice",
    )


async def test_worker_killed_serving_a_durable_task(
    schedulers: Schedulers, workers: Workers, seen: Seen
) -> None:
    """Its task goes back into the queue as old as it was, and is served by another as a second
    attempt, in the slot that was reclaimed."""
    async with schedulers(lease_ttl=LEASE) as scheduler:
        async with scheduler.acquire("b"):
            task_id = await scheduler.submit_task("a", Task(payload=b"work"))
        await scheduler.submit_task("b")
        victim = workers("a", 1, LEASE, "hold")
        await told(victim, "open")
        held = await told(victim, "held")
        assert held["task"] == task_id
        before = schedulers.dump().tasks[task_id.encode()].split(b"|")
        waiter = asyncio.create_task(scheduler.acquire_start("b"))
        await eventually(lambda: schedulers.waiting() == 1)
        victim.signal(signal.SIGKILL)
        began = time.monotonic()
        handle = await waiter
        took = time.monotonic() - began
        assert took < RECLAIMED_WITHIN
        assert handle.lease.token > held["token"]
        after = schedulers.dump().tasks[task_id.encode()].split(b"|")
        assert (before[0], after[0]) == (b"R", b"Q")
        assert after[1:4] == before[1:4]  # seq, tick, weight
        await scheduler.release_handle(handle)
        async with scheduler.acquire("a") as lease:
            task = lease.task
            assert (task.task_id, task.payload, task.attempt) == (task_id, b"work", 2)
            age = lease.waited_ticks
        assert (await scheduler.snapshot()).reclaimed == 1
        assert not schedulers.dump().tasks
    seen(
        "a process killed while it served a durable task",
        f"reclaimed after {took:.2f} s; the task went back with its place in the queue, aged "
        f"{age} ticks, and was served as attempt 2",
    )


async def test_worker_killed_with_a_reservation(
    schedulers: Schedulers, workers: Workers, seen: Seen
) -> None:
    """What it had reserved is unsettled; a settlement that arrives afterwards is charged once,
    however often it comes."""
    budget = BudgetPolicy(limits={"a": 10.0})
    async with schedulers(lease_ttl=LEASE, budget=budget) as scheduler:
        assert scheduler.budget is not None
        victim = workers("a", 1, LEASE, "hold")
        session = (await told(victim, "open"))["session"]
        held = await told(victim, "held")
        assert await scheduler.budget.reserved("a") == 1.0
        victim.signal(signal.SIGKILL)
        took = await reclaimed(schedulers, session, time.monotonic())
        assert took < RECLAIMED_WITHIN
        assert await _account(scheduler) == (0.0, 1.0, 0.0)
        mine = scheduler._session
        assert mine is not None
        late = mine.scripts.settle(
            session=session,
            sequence=int(held["request"].partition(":")[2]),
            token=held["token"],
            cost=2500,
        )
        for _ in range(2):
            await mine.outbox.send(late, 5.0)
            assert await _account(scheduler) == (2.5, 0.0, 0.0)
    seen(
        "a process killed with 1.0 reserved, its settlement of 2.5 arriving twice afterwards",
        f"reclaimed after {took:.2f} s, unsettled 1.0; then spent 2.5, unsettled 0",
    )


async def _account(scheduler: AsyncLOCOScheduler) -> tuple[float, float, float]:
    """(spent, unsettled, reserved) of agent a."""
    budget = scheduler.budget
    assert budget is not None
    return await budget.spent("a"), await budget.unsettled("a"), await budget.reserved("a")


async def test_worker_killed_while_it_waits(
    schedulers: Schedulers, workers: Workers, seen: Seen
) -> None:
    """A slot granted to a process that died while it waited is reclaimed and given to the next."""
    async with schedulers(lease_ttl=LEASE) as scheduler:
        handle = await scheduler.acquire_start("h")
        victim = workers("best", 1, LEASE, "hold")
        await told(victim, "open")
        await eventually(lambda: schedulers.waiting() == 1)
        waiter = asyncio.create_task(scheduler.acquire_start("next"))
        await eventually(lambda: schedulers.waiting() == 2)
        victim.signal(signal.SIGKILL)
        await scheduler.release_handle(handle)
        began = time.monotonic()
        await scheduler.release_handle(await waiter)
        took = time.monotonic() - began
        assert took < RECLAIMED_WITHIN
    seen("the best waiter killed, then a slot freed", f"the next one had it after {took:.2f} s")


async def test_worker_stopped_while_it_holds(
    schedulers: Schedulers, workers: Workers, seen: Seen
) -> None:
    """It learns that it has lost, and its leaving changes nothing for whoever holds the slot by
    then; its late settlement is charged once. Its session is not made again."""
    budget = BudgetPolicy(limits={"a": 10.0})
    async with schedulers(lease_ttl=LEASE, budget=budget) as scheduler:
        sleeper = workers("a", 1, LEASE, "settle")
        session = (await told(sleeper, "open"))["session"]
        held = await told(sleeper, "held")
        waiter = asyncio.create_task(scheduler.acquire_start("b"))
        await eventually(lambda: schedulers.waiting() == 1)
        sleeper.signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            handle = await waiter
            took = time.monotonic() - began
            assert took < RECLAIMED_WITHIN
            assert handle.lease.slot == held["slot"]
            assert await _account(scheduler) == (0.0, 1.0, 0.0)
            await asyncio.sleep(max(0.0, STOPPED_FOR - took))
        finally:
            sleeper.signal(signal.SIGCONT)
        began = time.monotonic()
        lost = await told(sleeper, "lost")
        learned = time.monotonic() - began
        assert lost["token"] == held["token"] < handle.lease.token
        assert await _account(scheduler) == (LATE_COST, 0.0, 0.0)
        assert schedulers.held() == 1
        assert session.encode() not in schedulers.dump().sessions
        assert not handle.lease.lost
        sleeper.tell()
        assert [fact["event"] for fact in await asyncio.to_thread(sleeper.rest)] == ["closed"]
        await scheduler.release_handle(handle)
        snapshot = await scheduler.snapshot()
        assert (snapshot.granted, snapshot.released, snapshot.reclaimed) == (2, 1, 1)
    seen(
        f"a holder stopped for {STOPPED_FOR:g} s (lease {LEASE:g} s), then continued",
        f"its slot given on after {took:.2f} s; it learned of it {learned:.2f} s after SIGCONT; "
        "0 of its releases counted, its settlement counted once",
    )


async def test_worker_stopped_while_it_waits(
    schedulers: Schedulers, workers: Workers, seen: Seen
) -> None:
    """The grant that waits in its socket is not believed when it is continued: it asks again, in
    another session."""
    async with schedulers(lease_ttl=LEASE) as scheduler:
        handle = await scheduler.acquire_start("h")
        sleeper = workers("sleeper", 1, LEASE, "hold")
        session = (await told(sleeper, "open"))["session"]
        await eventually(lambda: schedulers.waiting() == 1)
        sleeper.signal(signal.SIGSTOP)
        try:
            await scheduler.release_handle(handle)
            stale = next(iter(schedulers.dump().leases.values())).token
            began = time.monotonic()
            handle = await scheduler.acquire_start("h")
            took = time.monotonic() - began
            assert took < RECLAIMED_WITHIN
            await asyncio.sleep(max(0.0, STOPPED_FOR - took))
        finally:
            sleeper.signal(signal.SIGCONT)
        await eventually(lambda: schedulers.waiting() == 1)
        assert handle.lease.token > stale
        await scheduler.release_handle(handle)
        held = await told(sleeper, "held")
        assert held["token"] > handle.lease.token
        assert held["request"].partition(":")[0] != session
        assert session.encode() not in schedulers.dump().sessions
        sleeper.tell()
        told_then = [fact["event"] for fact in await asyncio.to_thread(sleeper.rest)]
        assert told_then == ["leaving", "closed"]
    seen(
        f"a waiter stopped, granted a slot, continued after {STOPPED_FOR:g} s",
        f"the grant reclaimed after {took:.2f} s and not used; it waited again, in a new session",
    )


async def test_worker_stopped_at_random_moments(
    schedulers: Schedulers, workers: Workers, seen: Seen
) -> None:
    """Replies and hints are on their way to processes that are stopped while they pass; each goes
    on in a new session, and no body begins by a token of the old one."""
    rng = random.Random(7)
    async with schedulers(capacity=3, lease_ttl=LEASE) as scheduler:
        crew = [workers(f"w-{index}", 700, LEASE) for index in range(4)]
        for worker in crew:
            await told(worker, "open")
            await told(worker, "held")
        highest = 0
        try:
            for worker in crew:
                await asyncio.sleep(rng.random() * 0.02)
                worker.signal(signal.SIGSTOP)
            own = await scheduler.acquire_start("own")
            highest = own.lease.token
            await scheduler.release_handle(own)
            await eventually(lambda: len(schedulers.dump().sessions) == 1)
            reclaimed = (await scheduler.snapshot()).reclaimed
        finally:
            for worker in crew:
                worker.signal(signal.SIGCONT)
        facts = [fact for worker in crew for fact in await asyncio.to_thread(worker.rest)]
        held = [fact["token"] for fact in facts if fact["event"] == "held"]
        lost = [fact["token"] for fact in facts if fact["event"] == "lost"]
        assert len(held) == len(set(held)) == 4 * 699
        assert all(token < highest for token in lost)
        snapshot = await scheduler.snapshot()
        assert snapshot.peak <= 3
        assert snapshot.granted == snapshot.released + snapshot.reclaimed
    seen(
        "4 passing processes stopped until their sessions had expired, then continued",
        f"{reclaimed} leases reclaimed, {len(lost)} bodies told that theirs was lost; "
        f"{len(held) + 4} passages in all, 0 tokens used twice",
    )
