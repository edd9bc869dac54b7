"""What an operator does by hand: pausing, draining, and taking away what is stuck."""

from __future__ import annotations

import asyncio

import pytest

from loco_redis import (
    AsyncLOCOScheduler,
    EvictedError,
    LeaseLostError,
    LOCOScheduler,
    SharedResource,
    Task,
    TaskAliveError,
    UnknownRequestError,
    UnknownTaskError,
)
from loco_redis.observe import Link, Observer, resource_names
from tests.proxy import proxied
from tests.schedulers import NAME, Schedulers
from tests.servers import Server
from tests.waiting import eventually


async def test_paused_nobody_is_granted_and_holders_go_on(any_schedulers: Schedulers) -> None:
    """A pause keeps the order and the age of those who wait; resuming fills all slots at once."""
    async with any_schedulers(capacity=2) as scheduler:
        held = await scheduler.acquire_start("a")
        await scheduler.operations.pause()
        waiting = [_start(scheduler, name) for name in ("b", "c")]
        await eventually(lambda: any_schedulers.waiting() == 2)
        await scheduler.release_handle(held)
        snapshot = await scheduler.snapshot()
        assert (snapshot.held, snapshot.waiting, snapshot.tick) == (0, 2, 1)
        assert (snapshot.paused, snapshot.effective_capacity) == (True, 0)
        assert not any(task.done() for task in waiting)
        await scheduler.operations.resume()
        handles = await asyncio.gather(*waiting)
        assert {handle.lease.waited_ticks for handle in handles} == {1}
        assert (await scheduler.snapshot()).effective_capacity == 2
        for handle in handles:
            await scheduler.release_handle(handle)


async def test_a_pause_outlives_an_emptied_server(schedulers: Schedulers) -> None:
    """The configuration that is restored after FLUSHALL is paused, too, and is registered again."""
    async with schedulers(lease_ttl=0.4) as scheduler:
        await scheduler.operations.pause()
        before = scheduler.session_id
        schedulers.server.client.flushall()
        await eventually(lambda: scheduler.session_id != before)
        await eventually(lambda: schedulers.dump().sessions)
        assert (await scheduler.snapshot()).paused
        with Link(schedulers.server.url) as link:
            await eventually(lambda: resource_names(link) == [NAME])


async def test_draining(schedulers: Schedulers) -> None:
    """It tells how many still hold when its time is up, and 0 as soon as nobody does."""
    async with schedulers(capacity=2) as scheduler:
        handle = await scheduler.acquire_start("a")
        assert await scheduler.operations.drain(0.0) == 1
        draining = asyncio.create_task(scheduler.operations.drain(30.0))
        await scheduler.release_handle(handle)
        assert await draining == 0
        assert (await scheduler.snapshot()).paused


async def test_a_released_holder_is_cancelled(any_schedulers: Schedulers) -> None:
    """The lease is lost, the next is granted at once, and the cost can be settled late, once."""
    async with any_schedulers() as holder, any_schedulers(None) as other:
        with pytest.raises(LeaseLostError, match="operator"):  # noqa: PT012
            async with holder.acquire("stuck", weight=3.0) as lease:
                waiter = _start(other, "next")
                await eventually(lambda: any_schedulers.waiting() == 1)
                assert await other.operations.release(lease.token) == lease.request_id
                await asyncio.Event().wait()
        handle = await waiter
        assert handle.lease.token > lease.token
        await lease.settle(cost=2.0)
        assert await holder.metrics.agent_cost("stuck") == 2.0
        await other.release_handle(handle)
        snapshot = await holder.snapshot()
        assert (snapshot.reclaimed, snapshot.released) == (1, 1)


async def test_a_released_durable_task_is_served_again(schedulers: Schedulers) -> None:
    async with schedulers() as scheduler:
        task_id = await scheduler.submit_task("a", Task(weight=2.0))
        with pytest.raises(LeaseLostError):  # noqa: PT012
            async with scheduler.acquire("a") as lease:
                await scheduler.operations.release(lease.token)
                await asyncio.Event().wait()
        async with scheduler.acquire("a") as lease:
            assert (lease.task.task_id, lease.task.attempt) == (task_id, 2)


async def test_a_cancelled_waiter_is_told(any_schedulers: Schedulers) -> None:
    """Only that one; asking again works."""
    async with any_schedulers() as holder, any_schedulers(None) as other:
        handle = await holder.acquire_start("h")
        waiting = [_start(other, name) for name in ("a", "b")]
        await eventually(lambda: any_schedulers.waiting() == 2)
        first = next(w for w in (await holder.snapshot()).waiters if w.agent_id == "a")
        await holder.operations.cancel(first.request_id)
        with pytest.raises(EvictedError, match=f"{first.request_id} of agent 'a'"):
            await waiting[0]
        await holder.release_handle(handle)
        await other.release_handle(await waiting[1])
        with pytest.raises(UnknownRequestError):
            await holder.operations.cancel(first.request_id)
        async with other.acquire("a"):
            pass


async def test_a_lost_hint_of_an_eviction_is_found_by_the_heartbeat(schedulers: Schedulers) -> None:
    """Also one that waits and one that holds in the same session."""
    async with proxied(schedulers.server) as proxy:
        proxy.mute = b"SUBSCRIBE"
        async with schedulers(lease_ttl=1.2) as operator:
            async with schedulers(redis=proxy.url, lease_ttl=None) as deaf:
                handle = await deaf.acquire_start("h")
                waiter = _start(deaf, "w")
                await eventually(lambda: schedulers.waiting() == 1)
                (row,) = (await operator.snapshot()).waiters
                await operator.operations.cancel(row.request_id)
                with pytest.raises(EvictedError):
                    await asyncio.wait_for(waiter, 5.0)
                await operator.operations.release(handle.lease.token)
                await eventually(lambda: handle.lease.lost, 5.0)


async def test_a_holder_that_was_evicted_does_not_hang_the_shutdown(schedulers: Schedulers) -> None:
    async with schedulers(on_lost="warn") as scheduler:
        handle = await scheduler.acquire_start("a")
        await scheduler.operations.release(handle.lease.token)
        await eventually(lambda: handle.lease.lost)
        assert await scheduler.shutdown(timeout=5.0) == {
            "cancelled_waiters": 0,
            "active_holders": 0,
        }


async def test_dead_tasks_are_queued_again(schedulers: Schedulers) -> None:
    """With all their attempts, their payload and their age."""
    async with schedulers(lease_ttl=0.4) as scheduler:
        task = Task(weight=2.0, payload=b"x", max_attempts=1)
        task_id = await scheduler.submit_task("a", task)
        with pytest.raises(TaskAliveError):
            await scheduler.operations.requeue(task_id)
        with pytest.raises(LeaseLostError):  # noqa: PT012
            async with scheduler.acquire("a") as lease:
                await scheduler.operations.release(lease.token)
                await asyncio.Event().wait()
        assert (await scheduler.snapshot()).dead_tasks == 1
        await scheduler.operations.requeue(task_id)
        async with scheduler.acquire("a") as lease:
            assert (lease.task.payload, lease.task.attempt, lease.waited_ticks) == (b"x", 1, 1)
        with pytest.raises(UnknownTaskError):
            await scheduler.operations.requeue(task_id)


async def test_unknown_tokens_and_bad_arguments(schedulers: Schedulers) -> None:
    async with schedulers() as scheduler:
        with pytest.raises(UnknownRequestError, match="token 42"):
            await scheduler.operations.release(42)
        with pytest.raises(ValueError, match="token must be an int"):
            await scheduler.operations.release("42")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="timeout must be a number of seconds"):
            await scheduler.operations.drain(-1.0)


async def test_decisions_are_logged_while_asked_for(any_schedulers: Schedulers) -> None:
    """Off by default; on and off for the whole fleet at once; bounded."""
    server = any_schedulers.server
    with Link(server.url) as link:
        async with any_schedulers() as scheduler:
            observer = Observer(link, NAME)
            async with scheduler.acquire("a"):
                pass
            assert observer.events() == []
            await scheduler.reconfigure(events=3)
            async with scheduler.acquire("a", weight=2.0):
                pass
            kinds = [(event.kind, event.agent_id) for event in observer.events()]
            assert kinds == [("reconfigured", None), ("granted", "a"), ("released", "a")]
            granted, released = observer.events()[1:]
            assert granted.facts["weight"] == released.facts["cost"] == 2.0
            assert released.tick == granted.tick + 1
            assert observer.events(since=released.at) == [released]
            assert observer.events(count=1) == [released]
            assert observer.events_after(granted.event_id, 1.0) == [released]
            for _ in range(300):
                async with scheduler.acquire("a"):
                    pass
            assert server.client.xlen(scheduler._session.scripts.keys.events) < 300
            await scheduler.reconfigure(events=0)
            assert observer.events() == []


def test_blocking_schedulers_have_the_same(server: Server) -> None:
    with LOCOScheduler(resource=SharedResource(NAME, 1), redis=server.url) as scheduler:
        scheduler.operations.pause()
        assert scheduler.snapshot().paused
        assert scheduler.operations.drain(1.0) == 0
        scheduler.operations.resume()
        assert scheduler.operations.reap() == 0


def _start(scheduler: AsyncLOCOScheduler, agent: str) -> asyncio.Task:
    return asyncio.create_task(scheduler.acquire_start(agent, nested="allow"))
