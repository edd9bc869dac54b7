"""Several processes: they share fairly, die badly, and are stopped and continued."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from loco_redis import Task
from tests.schedulers import Schedulers
from tests.waiting import eventually
from tests.workers import Workers

LEASE = 0.6
# P4: a lease, the time until the next heartbeat of somebody alive, and a second for slow machines.
RECLAIMED_WITHIN = LEASE + LEASE / 4 + 1.0

pytestmark = pytest.mark.chaos


async def test_two_processes_share(schedulers: Schedulers, workers: Workers) -> None:
    """Each token is given once, over all processes; nobody holds a slot that another holds."""
    async with schedulers(capacity=2, lease_ttl=LEASE) as scheduler:
        crews = [workers(f"agent-{index}", 100, LEASE) for index in range(3)]
        told = [await asyncio.to_thread(crew.rest) for crew in crews]
        tokens = [fact["token"] for facts in told for fact in facts if fact["event"] == "held"]
        assert len(tokens) == len(set(tokens)) == 300
        snapshot = await scheduler.snapshot()
        assert snapshot.peak <= 2
        assert (snapshot.granted, snapshot.released, snapshot.reclaimed) == (300, 300, 0)


async def test_killed_holder(schedulers: Schedulers, workers: Workers) -> None:
    """The slot of a process killed by SIGKILL is reclaimed in time and goes to who waits; its
    durable task is served by another, as a second attempt."""
    async with schedulers(lease_ttl=LEASE) as scheduler:
        task_id = await scheduler.submit_task("a", Task(payload=b"work"))
        victim = workers("a", 1, LEASE, "hold")
        victim.expect("open")
        held = victim.expect("held")
        assert held["task"] == task_id
        waiter = asyncio.create_task(scheduler.acquire_start("a"))
        await eventually(lambda: schedulers.waiting() == 1)
        victim.signal(signal.SIGKILL)
        began = time.monotonic()
        handle = await waiter
        assert time.monotonic() - began < RECLAIMED_WITHIN
        assert handle.lease.token > held["token"]
        await scheduler.release_handle(handle)
        async with scheduler.acquire("a") as lease:
            task = lease.task
            assert (task.task_id, task.payload, task.attempt) == (task_id, b"work", 2)
        assert (await scheduler.snapshot()).reclaimed == 1
        assert not schedulers.dump().tasks


async def test_killed_best_waiter(schedulers: Schedulers, workers: Workers) -> None:
    """A slot granted to a process that died while it waited is reclaimed and given to the next."""
    async with schedulers(lease_ttl=LEASE) as scheduler:
        handle = await scheduler.acquire_start("h")
        victim = workers("best", 1, LEASE, "hold")
        victim.expect("open")
        await eventually(lambda: schedulers.waiting() == 1)
        waiter = asyncio.create_task(scheduler.acquire_start("next"))
        await eventually(lambda: schedulers.waiting() == 2)
        victim.signal(signal.SIGKILL)
        await scheduler.release_handle(handle)
        began = time.monotonic()
        await scheduler.release_handle(await waiter)
        assert time.monotonic() - began < RECLAIMED_WITHIN


async def test_stopped_and_continued_holder(schedulers: Schedulers, workers: Workers) -> None:
    """SIGSTOP for longer than a lease, then SIGCONT: it learns that it has lost, and its leaving
    changes nothing for whoever holds the slot by then."""
    async with schedulers(lease_ttl=LEASE) as scheduler:
        sleeper = workers("sleeper", 1, LEASE, "hold")
        sleeper.expect("open")
        held = sleeper.expect("held")
        waiter = asyncio.create_task(scheduler.acquire_start("waiter"))
        await eventually(lambda: schedulers.waiting() == 1)
        sleeper.signal(signal.SIGSTOP)
        try:
            handle = await waiter
            assert handle.lease.slot == held["slot"]
        finally:
            sleeper.signal(signal.SIGCONT)
        lost = await asyncio.to_thread(sleeper.expect, "lost")
        assert lost["token"] == held["token"] < handle.lease.token
        assert schedulers.held() == 1
        assert not handle.lease.lost
        sleeper.tell()
        assert [fact["event"] for fact in await asyncio.to_thread(sleeper.rest)] == ["closed"]
        await scheduler.release_handle(handle)


async def test_killed_workers_leave_no_waiter_behind(
    schedulers: Schedulers, workers: Workers
) -> None:
    """Half of a crew is killed at random moments; the others finish, and nothing is left over."""
    async with schedulers(capacity=2, lease_ttl=LEASE) as scheduler:
        crews = [workers(f"agent-{index}", 60, LEASE) for index in range(4)]
        for crew in crews:
            await asyncio.to_thread(crew.expect, "open")
        for victim in crews[:2]:
            await asyncio.to_thread(victim.expect, "held")
            victim.signal(signal.SIGKILL)
        for survivor in crews[2:]:
            told = await asyncio.to_thread(survivor.rest)
            assert [fact["event"] for fact in told].count("held") == 60
        await eventually(lambda: len(schedulers.dump().sessions) == 1)
        assert (await scheduler.snapshot()).peak <= 2
