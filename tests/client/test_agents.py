"""Agents, snapshots and changes of the configuration."""

from __future__ import annotations

import asyncio

import pytest

from loco_redis import (
    Agent,
    AgentBusyError,
    ConfigConflictError,
    UnknownAgentError,
)
from tests.schedulers import Schedulers
from tests.waiting import eventually


async def test_agents_given_are_registered_on_opening(schedulers: Schedulers) -> None:
    """They are known, with their type, before they have asked for anything."""
    agents = [Agent("urgent", agent_type="webhook"), Agent("batch")]
    async with schedulers(agents=agents) as scheduler:
        urgent = await scheduler.get_agent("urgent")
        assert (urgent.agent_type, urgent.registered) == ("webhook", True)
        assert {a.agent_id for a in (await scheduler.snapshot()).agents} == {"urgent", "batch"}
        for agent in agents:
            await scheduler.unregister_agent(agent.agent_id)


async def test_agent_comes_and_goes(schedulers: Schedulers) -> None:
    """Registering again changes the type; a busy agent stays; an unknown one is a ValueError."""
    async with schedulers() as scheduler:
        await scheduler.register_agent(Agent("x", "one"))
        await scheduler.register_agent(Agent("x", "two"))
        assert (await scheduler.get_agent("x")).agent_type == "two"
        async with scheduler.acquire("x"):
            with pytest.raises(AgentBusyError):
                await scheduler.unregister_agent("x")
        await scheduler.unregister_agent("x")
        for call in (scheduler.get_agent, scheduler.unregister_agent):
            with pytest.raises(UnknownAgentError) as caught:
                await call("x")
            assert isinstance(caught.value, ValueError)


async def test_snapshot_shows_holders_waiters_and_sessions(any_schedulers: Schedulers) -> None:
    """One read shows the whole scheduler, in units, ticks and seconds."""
    async with any_schedulers(capacity=2, alpha=0.5, max_waiters=9) as scheduler:
        first = await scheduler.acquire_start("a", weight=2.0)
        second = await scheduler.acquire_start("b")
        waiter = asyncio.create_task(scheduler.acquire_start("c", weight=4.5))
        await eventually(lambda: any_schedulers.waiting() == 1)
        snapshot = await scheduler.snapshot()
        assert (snapshot.name, snapshot.alpha, snapshot.capacity) == ("llm", 0.5, 2)
        assert (snapshot.max_waiters, snapshot.lease_ttl, snapshot.version) == (9, 2.0, 1)
        assert (snapshot.utilization, snapshot.available_slots) == (1.0, 0)
        assert [(h.slot, h.agent_id, h.weight) for h in snapshot.holders] == [
            (0, "a", 2.0),
            (1, "b", 1.0),
        ]
        assert snapshot.holders[0].token == first.lease.token
        assert 0.0 <= snapshot.holders[0].age < 5.0
        (waiting,) = snapshot.waiters
        assert (waiting.agent_id, waiting.weight, waiting.waited_ticks) == ("c", 4.5, 0)
        (session,) = snapshot.sessions
        assert session.session == scheduler.session_id
        assert 0.0 < session.expires_in <= 2.0
        competing = {a.agent_id: a for a in snapshot.agents}["c"]
        assert (competing.queue_depth_weighted, competing.score, competing.waiting) == (4.5, 0.5, 1)
        assert len((await scheduler.snapshot(limit=1)).holders) == 1
        for handle in (first, second):
            await scheduler.release_handle(handle)
        await scheduler.release_handle(await waiter)


async def test_raised_capacity_is_granted_at_once(schedulers: Schedulers) -> None:
    """From 1 to 3 with waiters: two more hold before reconfigure() has returned."""
    async with schedulers(capacity=1) as scheduler, schedulers() as other:
        handles = [await scheduler.acquire_start("a")]
        waiters = [asyncio.create_task(other.acquire_start("b")) for _ in range(3)]
        await eventually(lambda: schedulers.waiting() == 3)
        assert await scheduler.reconfigure(capacity=3) == 2
        assert schedulers.held() == 3
        await eventually(lambda: sum(w.done() for w in waiters) == 2)
        await scheduler.release_handle(handles[0])
        for waiter in waiters:
            await other.release_handle(await waiter)


async def test_lowered_capacity_evicts_nobody(schedulers: Schedulers) -> None:
    """Capacity 0 pauses: holders finish, nobody is granted until it is raised."""
    async with schedulers(capacity=2) as scheduler:
        handles = [await scheduler.acquire_start("a") for _ in range(2)]
        await scheduler.reconfigure(capacity=0)
        assert (await scheduler.snapshot()).available_slots == 0
        for handle in handles:
            assert not handle.lease.lost
            await scheduler.release_handle(handle)
        waiter = asyncio.create_task(scheduler.acquire_start("b"))
        await eventually(lambda: schedulers.waiting() == 1)
        await scheduler.reconfigure(capacity=1)
        await scheduler.release_handle(await waiter)


async def test_reconfigure_checks_the_version(schedulers: Schedulers) -> None:
    """if_version makes a change conditional; the rest is kept; bad values are ValueErrors."""
    async with schedulers(capacity=1, alpha=0.3, max_waiters=5) as scheduler:
        version = await scheduler.reconfigure(optimize_for="latency", max_waiters=-1, if_version=1)
        snapshot = await scheduler.snapshot()
        assert (snapshot.capacity, snapshot.alpha, snapshot.max_waiters) == (1, 0.0, None)
        with pytest.raises(ConfigConflictError, match=f"version {version}"):
            await scheduler.reconfigure(capacity=9, if_version=1)
        for bad in ({"capacity": -1}, {"alpha": 1.5}, {"alpha": 0.1, "optimize_for": "latency"}):
            with pytest.raises(ValueError):
                await scheduler.reconfigure(**bad)
        assert (await scheduler.snapshot()).version == version


async def test_other_schedulers_learn_of_a_change(schedulers: Schedulers) -> None:
    """The heartbeat notices another version and reads the new values."""
    async with schedulers(max_waiters=5, lease_ttl=0.4) as one, schedulers(lease_ttl=None) as two:
        await one.reconfigure(max_waiters=7)
        await eventually(lambda: two._session.config.max_waiters == 7)  # type: ignore[union-attr]
