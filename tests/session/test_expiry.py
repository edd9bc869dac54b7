"""Sessions that Redis has forgotten: holders learn it, waiters are served by the next session."""

from __future__ import annotations

import asyncio

import pytest

from loco_redis import (
    Agent,
    LeaseLostError,
    SessionExpiredError,
)
from loco_redis._scripts import Scripts
from tests.proxy import proxied
from tests.schedulers import NAME, Schedulers
from tests.waiting import eventually

LEASE = 0.4


async def test_warned_body_goes_on(
    schedulers: Schedulers, caplog: pytest.LogCaptureFixture
) -> None:
    """on_lost="warn" logs, sets `lost`, and neither cancels nor raises."""
    async with schedulers(lease_ttl=LEASE, on_lost="warn") as scheduler:
        async with scheduler.acquire("a") as lease:
            schedulers.server.client.flushall()
            await eventually(lambda: lease.lost)
        assert "lost: <Lease" in caplog.text
        handle = await scheduler.acquire_start("a")
        schedulers.server.client.flushall()
        await eventually(lambda: handle.lease.lost)
        await scheduler.release_handle(handle)


async def test_loss_noticed_by_the_release(schedulers: Schedulers) -> None:
    """A body that ends before the next heartbeat learns it on leaving; so does a handle, once."""
    async with schedulers(lease_ttl=30.0) as scheduler:
        with pytest.raises(LeaseLostError):
            async with scheduler.acquire("a"):
                schedulers.server.client.flushall()
        handle = await scheduler.acquire_start("a")
        schedulers.server.client.flushall()
        with pytest.raises(LeaseLostError):
            await scheduler.release_handle(handle)
        await scheduler.release_handle(handle)


async def test_body_own_exception_wins(schedulers: Schedulers) -> None:
    """What the body raises on being cancelled emerges; the cancellation is taken back."""
    async with schedulers(lease_ttl=LEASE) as scheduler:
        with pytest.raises(KeyError):  # noqa: PT012  the block under test is the body
            async with scheduler.acquire("a"):
                schedulers.server.client.flushall()
                try:
                    await asyncio.Event().wait()
                finally:
                    raise KeyError
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_cancelled_by_both(schedulers: Schedulers) -> None:
    """A body that was also cancelled by somebody else ends by CancelledError."""

    async def body() -> None:
        async with scheduler.acquire("a") as lease:
            holding.set()
            try:
                await asyncio.Event().wait()
            finally:
                assert lease.lost
                asyncio.current_task().cancel()  # type: ignore[union-attr]

    holding = asyncio.Event()
    async with schedulers(lease_ttl=LEASE) as scheduler:
        task = asyncio.create_task(body())
        await holding.wait()
        schedulers.server.client.flushall()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_timeouts_around_a_lost_body_still_work(schedulers: Schedulers) -> None:
    """asyncio.timeout around an interrupted body does not mistake it for its own."""
    async with schedulers(lease_ttl=LEASE) as scheduler:
        with pytest.raises(LeaseLostError):  # noqa: PT012  the block under test is the body
            async with asyncio.timeout(10):
                async with scheduler.acquire("a"):
                    schedulers.server.client.flushall()
                    await asyncio.Event().wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()


async def test_stale_release_changes_nothing(schedulers: Schedulers) -> None:
    """A session closed behind its back cannot free the slot of whoever holds it now."""
    async with schedulers(lease_ttl=30.0) as stale, schedulers(lease_ttl=None) as other:
        handle = await stale.acquire_start("a")
        _close_session(schedulers, str(stale.session_id))
        current = await other.acquire_start("b")
        assert current.lease.slot == handle.lease.slot
        with pytest.raises(LeaseLostError):
            await stale.release_handle(handle)
        assert [h.token for h in (await other.snapshot()).holders] == [current.lease.token]
        await other.release_handle(current)


async def test_late_settlement_is_accounted_once(schedulers: Schedulers) -> None:
    """A holder that was reclaimed may still say what its work cost; a second time is an error."""
    async with schedulers(lease_ttl=30.0, on_lost="warn") as scheduler:
        handle = await scheduler.acquire_start("a", weight=5.0)
        _close_session(schedulers, str(scheduler.session_id))
        await handle.lease.settle(3.0)
        with pytest.raises(LeaseLostError):
            await handle.lease.settle(4.0)
        await scheduler.release_handle(handle)
        assert await scheduler.metrics.cost_by_agent() == {"a": 3.0}


async def test_calls_go_on_in_a_new_session(schedulers: Schedulers) -> None:
    """Whatever call is the first to find the session gone is made again in another."""
    async with schedulers(lease_ttl=30.0) as scheduler:
        for call in (
            lambda: scheduler.register_agent(Agent("x")),
            lambda: scheduler.unregister_agent("x"),
            lambda: scheduler.reconfigure(capacity=2),
        ):
            _close_session(schedulers, str(scheduler.session_id))
            await call()
        _close_session(schedulers, str(scheduler.session_id))
        await scheduler.cancel_task(await scheduler.submit_task("a"))
        _close_session(schedulers, str(scheduler.session_id))
        async with scheduler.acquire("a", timeout=5.0):
            pass


async def test_snapshot_of_an_emptied_server(schedulers: Schedulers) -> None:
    """It restores the configuration instead of failing."""
    async with schedulers(capacity=3, lease_ttl=30.0) as scheduler:
        schedulers.server.client.flushall()
        assert (await scheduler.snapshot()).capacity == 3


async def test_unknown_outcome_is_told(schedulers: Schedulers) -> None:
    """A submit whose reply was lost, and whose session is gone when it is sent again, may have
    been carried out: that is the one thing the client cannot find out."""
    async with proxied(schedulers.server) as proxy:
        async with schedulers(redis=proxy.url, lease_ttl=30.0) as scheduler:
            session = str(scheduler.session_id)
            await scheduler.cancel_task(await scheduler.submit_task("warm"))
            proxy.lose_reply_of(Scripts(NAME).sha("submit"))
            submitting = asyncio.create_task(scheduler.submit_task("a"))
            await eventually(lambda: proxy.lost)
            _close_session(schedulers, session)
            with pytest.raises(SessionExpiredError) as caught:
                await submitting
            assert "may have been carried out" in str(caught.value.__notes__)
            for task_id in schedulers.dump().tasks:
                await scheduler.cancel_task(task_id.decode())


def _start(scheduler, agent):  # type: ignore[no-untyped-def]
    # In a context of its own: the waiter is not nested in the body that starts it.
    return asyncio.create_task(scheduler.acquire_start(agent, nested="allow"))


def _close_session(schedulers: Schedulers, session: str) -> None:
    scripts = Scripts(NAME)
    command = scripts.close(session=session, seen=0)
    keys = scripts.keys.all
    schedulers.server.client.eval(scripts.source("close"), len(keys), *keys, *command.args)
