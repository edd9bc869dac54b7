"""Servers that die, come back empty or with their data, and lose their scripts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loco_redis import (
    Agent,
    BudgetExceededError,
    BudgetPolicy,
    LeaseLostError,
    Task,
)
from tests.faults.conftest import Seen
from tests.faults.topologies import Mortal, client_of
from tests.faults.traffic import scheduler, state_at_rest, traffic
from tests.schedulers import Schedulers
from tests.servers import Server
from tests.waiting import eventually

pytestmark = pytest.mark.chaos

LEASE = 0.6
BEAT = LEASE / 4


@pytest.fixture
def with_aof(tmp_path: Path) -> Iterator[Mortal]:
    server = Mortal("--appendonly", "yes", "--appendfsync", "always", "--dir", str(tmp_path))
    yield server
    server.end()


@pytest.fixture
def without_aof() -> Iterator[Mortal]:
    server = Mortal()
    yield server
    server.end()


async def test_server_killed_with_aof(with_aof: Mortal, seen: Seen) -> None:
    """Killed and started again with its append-only file, it finds the same sessions: no lease is
    lost, no waiter forgotten, and the outage counts for no lease, however long it was."""
    url = with_aof.process.url
    async with scheduler(url, 3, lease_ttl=LEASE) as holding, traffic(url, capacity=3) as load:
        handle = await holding.acquire_start("holder")
        downs = (0.0, 2 * LEASE, 0.0)
        moments = []
        for down in downs:
            moments.append(with_aof.kill())
            await asyncio.sleep(down)
            with_aof.start()
            await load.flows(since=time.monotonic())
        assert not handle.lease.lost
        await holding.release_handle(handle)
        told = await load.finish()
        assert told.sessions == load.sessions
        session = holding.session_id
        async with holding.acquire("holder"):
            assert holding.session_id == session
    state = state_at_rest(with_aof.process)
    told.check_tokens()
    assert (told.failures, told.lost) == ([], [])
    assert told.overlap() <= 0.0
    granted = len(told.passages) + 2
    counted = [state.number(name) for name in ("granted", "released", "reclaimed")]
    assert counted == [granted, granted, 0]
    under_way = sum(map(told.under_way, moments))
    waits = [told.first_after(m) - down for m, down in zip(moments, downs, strict=True)]
    seen(
        f"{granted} grants in 4 sessions; killed {len(downs)} times with {under_way} calls under "
        f"way, away for up to {max(downs):.1f} s",
        f"{told.outcome}; first grant {max(waits):.2f} s after the restart was begun",
    )


async def test_server_killed_without_aof(without_aof: Mortal, seen: Seen) -> None:
    """Started again empty, it makes every holder `lost` by the next heartbeat; waiters are served
    in new sessions, tokens rise, and configuration and rules come back before anybody is let in."""
    url = without_aof.process.url
    options = {"alpha": 0.125, "max_waiters": 70, "lease_ttl": LEASE}
    budget = BudgetPolicy(limits={"poor": 5.0})
    owner = scheduler(url, 3, budget=budget, agents=[Agent("capped", max_concurrency=1)], **options)
    async with owner, traffic(url, capacity=3, **options) as load:
        handle = await owner.acquire_start("holder")
        killed = without_aof.kill()
        without_aof.start()
        back = time.monotonic()
        await eventually(lambda: handle.lease.lost)
        noticed = time.monotonic() - back
        assert noticed < BEAT + 1.0
        with pytest.raises(LeaseLostError):
            await owner.release_handle(handle)
        snapshot = await owner.snapshot()
        assert (snapshot.capacity, snapshot.alpha, snapshot.max_waiters) == (3, 0.125, 70)
        results = await asyncio.gather(
            *(owner.acquire_start("poor", Task(cost=4.0)) for _ in range(3)),
            return_exceptions=True,
        )
        assert sum(isinstance(result, BudgetExceededError) for result in results) == 2
        for result in results:
            if not isinstance(result, BaseException):
                assert result.lease.token > handle.lease.token
                await owner.release_handle(result)
        await load.flows(since=time.monotonic())
        told = await load.finish()
        rules = client_of(without_aof.process).hgetall("loco:{llm}:rules")
        assert rules[b"ccapped"] == b"1"
    state_at_rest(without_aof.process)
    told.check_tokens()
    assert told.failures == []
    assert told.sessions.isdisjoint(load.sessions)
    assert told.overlap() < BEAT + 1.0
    assert [passage for passage in told.lost if passage.asked > killed] == []
    seen(
        f"{len(told.passages)} grants in 4 sessions; killed with {told.under_way(killed)} calls "
        "under way, started again empty",
        f"a holder knew {noticed:.2f} s after the start; {told.outcome}; first grant "
        f"{told.first_after(killed):.2f} s after the kill",
    )


async def test_flushall(any_schedulers: Schedulers) -> None:
    """Bodies are cancelled, waiters served, tokens rise, configuration and agents come back."""
    options = {"capacity": 1, "alpha": 0.125, "max_waiters": 7, "lease_ttl": LEASE}
    scheduler = any_schedulers(agents=[Agent("known", "webhook")], **options)
    async with scheduler:
        session = scheduler.session_id
        waiter = None
        with pytest.raises(LeaseLostError, match="expired") as caught:  # noqa: PT012
            async with scheduler.acquire("a") as lease:
                # In a context of its own: the waiter is not nested in the body that starts it.
                waiting = scheduler.acquire_start("waiter", nested="allow")
                waiter = asyncio.create_task(waiting)
                await eventually(lambda: any_schedulers.waiting() == 1)
                any_schedulers.server.client.flushall()
                await asyncio.Event().wait()
        assert lease.lost
        assert caught.value.token == lease.token
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
        handle = await waiter
        assert handle.lease.token > lease.token
        assert scheduler.session_id != session
        snapshot = await scheduler.snapshot()
        assert (snapshot.capacity, snapshot.alpha, snapshot.max_waiters) == (1, 0.125, 7)
        assert snapshot.lease_ttl == LEASE
        assert (await scheduler.get_agent("known")).agent_type == "webhook"
        await scheduler.release_handle(handle)
        await scheduler.unregister_agent("known")


async def test_flushall_under_load(server: Server, seen: Seen) -> None:
    """Emptied again and again, it loses what is held at that moment, and nothing else: callers wait
    on, tokens rise over all of it, and two bodies share a slot for a heartbeat at most."""
    moments = []
    async with traffic(server.url, capacity=3, lease_ttl=LEASE) as load:
        for _ in range(5):
            server.client.flushall()
            moments.append(time.monotonic())
            await load.flows(since=moments[-1])
        told = await load.finish()
    state_at_rest(server.process)
    told.check_tokens()
    assert told.failures == []
    assert told.overlap() < BEAT + 1.0
    under_way = sum(map(told.under_way, moments))
    assert len(told.lost) <= under_way
    seen(
        f"{len(told.passages)} grants in 3 sessions; FLUSHALL 5 times with {under_way} calls under "
        "way",
        f"{told.outcome}; first grant {max(map(told.first_after, moments)):.2f} s after it at most",
    )


async def test_flushall_and_processes_that_know_different_values(schedulers: Schedulers) -> None:
    """Whoever is first restores what it knows; who knows other values, because it has not heard of
    a change yet, adopts those."""
    async with schedulers(3, lease_ttl=30.0) as late, schedulers(3, lease_ttl=30.0) as one:
        await one.reconfigure(capacity=5)
        for _ in range(5):
            schedulers.server.client.flushall()
            told = await asyncio.gather(late.snapshot(), one.snapshot())
            assert len({snapshot.capacity for snapshot in told}) == 1
            if told[0].capacity == 3:
                await one.reconfigure(capacity=5)


async def test_script_flush(any_server: Server, seen: Seen) -> None:
    """Scripts that vanish a hundred times a second are loaded again, the heartbeat's too, and run
    once; nobody notices."""
    client, flushed = any_server.client, 0
    async with traffic(any_server.url, lease_ttl=2 * LEASE) as load:
        client.config_resetstat()
        began = time.monotonic()
        while time.monotonic() - began < 4 * LEASE:
            client.script_flush()
            flushed += 1
            await asyncio.sleep(0.01)
        calls = {name: int(row["calls"]) for name, row in client.info("commandstats").items()}
        told = await load.finish()
    told.check_kept(state_at_rest(any_server.process))
    assert told.sessions == load.sessions
    # Before 7.0 the flushes are counted together with the loads.
    loads = calls.get("cmdstat_script|load") or calls["cmdstat_script"] - flushed
    assert loads > flushed / 2
    seen(
        f"{any_server.name}: {len(told.passages)} grants in 3 sessions, {flushed} SCRIPT FLUSH in "
        f"{4 * LEASE:.1f} s",
        f"{loads} loads, {calls.get('cmdstat_eval', 0)} heartbeats by EVAL; {told.outcome}",
    )
