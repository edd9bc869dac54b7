"""Commands that the server gets twice: at once, or when what they were about is long over."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from loco_redis import AcquireTimeoutError, Task
from loco_redis._scripts import Scripts
from loco_redis.testing import invariants
from loco_redis.testing.dump import Dump
from tests.faults.conftest import Seen
from tests.faults.crowd import Crowd
from tests.proxy import proxied
from tests.schedulers import Schedulers
from tests.waiting import eventually

SHA = Scripts("llm").sha
# Of `vars`: what each script moves.
CHORES = (b"serial", b"vnow", b"raw", b"due")


async def test_duplicate_execution_of_each_verb(any_schedulers: Schedulers, seen: Seen) -> None:
    """The repeat is answered by what the first has stored, also after a cancellation."""
    schedulers = any_schedulers
    verbs = ("open", "acquire", "release", "settle", "submit", "cancel", "cancel_task")
    async with proxied(schedulers.server) as proxy:
        for verb in (*verbs, "reconfigure", "heartbeat", "poll", "close"):
            proxy.repeat(SHA(verb))
        async with schedulers(redis=proxy.url, lease_ttl=0.4) as scheduler:
            handle = await scheduler.acquire_start("a", weight=2.0)
            await handle.lease.settle(3.0)
            scheduler._session.grants.poll()  # type: ignore[union-attr]
            with pytest.raises(AcquireTimeoutError):
                await scheduler.acquire_start("b", timeout=0)
            await scheduler.release_handle(handle)
            await scheduler.cancel_task(await scheduler.submit_task("c"))
            assert await scheduler.reconfigure(capacity=2) == 2
            assert await scheduler.metrics.cost_by_agent() == {"a": 3.0}
            ledger = scheduler._session.ledger  # type: ignore[union-attr]
            deadline = ledger.deadline
            await eventually(lambda: ledger.deadline > deadline)
            snapshot = await scheduler.snapshot()
            assert (snapshot.released, snapshot.holders, snapshot.dead_tasks) == (1, (), 0)
        assert not proxy.awaited
    seen(f"{len(verbs) + 4} kinds of commands carried out twice", "each with one effect")


async def test_duplicate_execution_under_load(schedulers: Schedulers, seen: Seen) -> None:
    """Each script of two sessions is carried out three times over."""
    async with proxied(schedulers.server) as proxy:
        options = {"redis": proxy.url, "lease_ttl": 0.8}
        async with schedulers(3, **options) as one, schedulers(3, **options) as other:
            proxy.copies, proxy.kept = 2, []
            crowd = Crowd(3, one, other)
            await crowd.run(callers=8, bodies=6)
            commands, proxy.copies = len(proxy.kept), 0
            snapshot = await one.snapshot()
            assert snapshot.granted == snapshot.released == snapshot.tick == 48
    seen(f"each of {commands} commands carried out three times", str(crowd))


async def test_duplicate_execution_long_after(any_schedulers: Schedulers, seen: Seen) -> None:
    """All commands of a session come again in any order, while it is open and after it: nothing is
    granted, charged, queued or ended by them."""
    schedulers, order = any_schedulers, random.Random(7)
    async with proxied(schedulers.server) as proxy:
        # No heartbeat comes in between, which would let Redis forget a request that was withdrawn.
        async with schedulers(2, redis=proxy.url, lease_ttl=120.0) as scheduler:
            proxy.kept = []
            await Crowd(2, scheduler).run(callers=6, bodies=4)
            task_id = await scheduler.submit_task("d", Task(payload=b"x"))
            async with scheduler.acquire("d") as lease:
                assert lease.task.task_id == task_id
                await lease.settle(2.0)
            held = [await scheduler.acquire_start(agent) for agent in "ab"]
            with pytest.raises(AcquireTimeoutError):
                await scheduler.acquire_start("e", timeout=0.05)
            await asyncio.gather(*map(scheduler.release_handle, held))
            kept, proxy.kept = [c for c in proxy.kept if b"EVALSHA" in c], None
            for after in (False, True):
                if after:
                    await scheduler.aclose()
                before = _lasting(schedulers.dump())
                for command in order.sample(kept, len(kept)):
                    await proxy.send_aside(command)
                    invariants.check(schedulers.dump())
                assert _lasting(schedulers.dump()) == before
    seen(f"{len(kept)} commands again, in any order, in and after their session", "0 changes")


def _lasting(dump: Dump) -> Dump:
    """Without clocks, and without how long sessions live, which any sign of life prolongs."""
    known = {name: value for name, value in dump.vars.items() if name not in CHORES}
    return replace(dump, vars=known, deadlines={}, sessions=dict.fromkeys(dump.sessions, b""))
