"""Calls of each script; after each, what the caller was told is compared with what Redis has."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine

from loco_redis import AsyncLOCOScheduler, Task
from loco_redis._presence import Asked
from loco_redis._scripts import VERBS, Scripts
from loco_redis.testing.dump import Dump
from tests.schedulers import Schedulers
from tests.waiting import eventually


def name_of(script: str) -> str:
    """What is seen of it on the wire; the others are plain commands, or uses of a script."""
    script = {"durable": "acquire", "handed_on": "release"}.get(script, script)
    return Scripts("llm").sha(script) if script in VERBS else script


class Passages:
    """A call of each script, by a scheduler of capacity 1. `of` finds it by the script's name."""

    def __init__(self, schedulers: Schedulers, scheduler: AsyncLOCOScheduler) -> None:
        self._schedulers, self._scheduler = schedulers, scheduler
        self.longest = 0.0

    async def of(self, script: str) -> None:
        """Carry it out, and check."""
        began = time.monotonic()
        call: Callable[[], Coroutine[None, None, None]] = getattr(self, script)
        async with asyncio.timeout(10):
            await call()
        self.longest = max(self.longest, time.monotonic() - began)

    async def acquire(self) -> None:
        """And `release`."""
        async with self._scheduler.acquire("a") as lease:
            (rid,) = self._dump().holders.values()
            assert str(lease.token).encode() in self._dump().requests[rid].split(b"|")

    release = acquire

    async def submit(self) -> None:
        """A durable task, which is acquired; then `HGET` fetches its payload."""
        task_id = await self._scheduler.submit_task("a", Task(payload=b"work"))
        assert list(self._dump().tasks) == [task_id.encode()]
        async with self._scheduler.acquire("a") as lease:
            assert (lease.task.task_id, lease.task.payload) == (task_id, b"work")

    durable = HGET = submit

    async def handed_on(self) -> None:
        """A release whose reply grants the slot to one's own waiter."""
        handle = await self._scheduler.acquire_start("a")
        waiter = asyncio.create_task(self._scheduler.acquire_start("b"))
        await eventually(lambda: self._schedulers.waiting() == 1)
        await self._scheduler.release_handle(handle)
        served = await waiter
        assert served.lease.token > handle.lease.token
        await self._scheduler.release_handle(served)

    async def several(self) -> None:
        """A release and two acquires that go out together, after a moment without connection."""
        handle = await self._scheduler.acquire_start("a")
        outbox = self._session.outbox
        assert outbox._direct is not None
        outbox._direct.abort()
        await asyncio.sleep(0)
        release = asyncio.ensure_future(self._scheduler.release_handle(handle))
        await asyncio.gather(*(self._pass(agent) for agent in "bc"))
        await release

    async def settle(self) -> None:
        async with self._scheduler.acquire("a", weight=2.0) as lease:
            await lease.settle(1.0)

    async def cancel(self) -> None:
        """Of one who waits."""
        handle = await self._scheduler.acquire_start("a")
        waiter = asyncio.create_task(self._scheduler.acquire_start("b"))
        await eventually(lambda: self._schedulers.waiting() == 1)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        await eventually(lambda: self._schedulers.waiting() == 0)
        await self._scheduler.release_handle(handle)

    async def poll(self) -> None:
        """While one holds and another waits, both of whom it must leave alone."""
        handle = await self._scheduler.acquire_start("a")
        waiter = asyncio.create_task(self._scheduler.acquire_start("b"))
        await eventually(lambda: self._schedulers.waiting() == 1)
        grants = self._session.grants
        grants.poll()
        await eventually(lambda: not grants._polling)
        assert not handle.lease.lost
        assert not waiter.done()
        await self._scheduler.release_handle(handle)
        await self._scheduler.release_handle(await waiter)

    async def snapshot(self) -> None:
        snapshot = await self._scheduler.snapshot()
        assert (snapshot.name, snapshot.capacity, snapshot.holders) == ("llm", 1, ())

    async def heartbeat(self) -> None:
        """One of the heartbeat's own, by its own connection; and its repeat, when it fails."""
        ledger = self._session.ledger
        for _ in range(3):
            before = ledger.deadline
            await asyncio.to_thread(self._session._heartbeat._beat, ledger)
            if ledger.deadline > before:
                break
        assert 0 < ledger.deadline - time.monotonic() <= self._session.config.lease
        assert self._session.ledger is ledger  # nobody has taken the session for expired

    async def open(self) -> None:
        """Opening the session again, which is open."""
        session = self._session
        adopt = Asked().in_script_units()
        command = session.scripts.open(session=session.ledger.session, seen=0, info="", **adopt)
        opened = (await session.outbox.send(command, 5.0)).reply
        assert opened.config.capacity == 1

    async def _pass(self, agent: str) -> None:
        async with self._scheduler.acquire(agent):
            pass

    def _dump(self) -> Dump:
        return self._schedulers.dump()

    @property
    def _session(self):  # type: ignore[no-untyped-def]
        session = self._scheduler._session
        assert session is not None
        return session
