"""A server that is full."""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import replace

import pytest

from loco_redis import BackendMemoryError, Task
from loco_redis.testing.dump import Dump, differences
from tests.faults.conftest import Seen
from tests.faults.own_server import any_own_server
from tests.faults.traffic import state_at_rest
from tests.schedulers import Schedulers
from tests.servers import Server
from tests.waiting import eventually
from tests.workers import Workers

__all__ = ["any_own_server"]

pytestmark = pytest.mark.chaos

LEASE = 0.6
RECLAIMED_WITHIN = LEASE + LEASE / 4 + 1.0


async def test_out_of_memory(any_own_server: Server, seen: Seen) -> None:
    """A full server refuses acquire, submit and open by a typed error that leaves nothing; leases
    are kept, settled, released and reclaimed, waiters withdrawn and served, sessions closed."""
    server, client = any_own_server, any_own_server.client
    schedulers, workers = Schedulers(server), Workers(server.url)
    made = {"lease_ttl": LEASE, "redis": server.url}
    holding, leaving = schedulers(3, **made), schedulers(None, **made)
    victim = None
    try:
        handle = await holding.acquire_start("a", weight=2.0)
        await leaving.acquire_start("b")
        victim = await asyncio.to_thread(workers, "victim", 1, LEASE, "hold")
        for event in ("open", "held"):
            await asyncio.to_thread(victim.expect, event)
        waiters = [asyncio.create_task(holding.acquire_start(agent)) for agent in ("x", "y", "z")]
        await eventually(lambda: schedulers.waiting() == 3)

        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        full_at = time.monotonic()
        before = _without_upkeep(schedulers.dump())
        refused = 0
        for _ in range(5):
            calls = (
                holding.acquire_start("c"),
                holding.submit_task("c", Task(payload=b"x")),
                schedulers(None, **made).snapshot(),
            )
            for call in calls:
                with pytest.raises(BackendMemoryError):
                    await call
                refused += 1
        assert differences(before, _without_upkeep(schedulers.dump())) == []

        waiters.pop(0).cancel()
        await eventually(lambda: schedulers.waiting() == 2)
        victim.signal(signal.SIGKILL)
        killed = time.monotonic()
        reclaimed = await asyncio.wait_for(waiters[0], RECLAIMED_WITHIN)
        took = time.monotonic() - killed
        await leaving.aclose()
        served = await waiters[1]
        await eventually(lambda: time.monotonic() > full_at + 3 * LEASE)
        held = (handle, reclaimed, served)
        lost = sum(each.lease.lost or each.lease.uncertain for each in held)
        assert lost == 0
        await handle.lease.settle(1.5)
        for each in held:
            await holding.release_handle(each)
        full_for = time.monotonic() - full_at
        assert schedulers.held() == schedulers.waiting() == 0
        assert await holding.metrics.cost_by_agent() == {"a": 1.5, "y": 1.0, "z": 1.0}
        client.config_set("maxmemory", 0)
        await holding.release_handle(await holding.acquire_start("c"))
    finally:
        workers.end()
        await schedulers.aclose()
    state_at_rest(server.process)
    seen(
        f"{server.name}: full for {full_for:.1f} s with 3 leases of {LEASE} s held, 3 requests "
        f"waiting; {refused} calls, a cancellation, a SIGKILL, a close, a settlement, {len(held)} "
        "releases",
        f"{refused} typed errors that left nothing; {lost} leases lost; reclaimed {took:.2f} s "
        "after the kill",
    )


def _without_upkeep(state: Dump) -> Dump:
    """What heartbeats change, they change also while nobody asks for anything."""
    upkeep = (b"raw", b"vnow", b"serial", b"due")
    return replace(
        state,
        vars={name: value for name, value in state.vars.items() if name not in upkeep},
        deadlines=dict.fromkeys(state.deadlines, 0.0),
        sessions={name: row.split(b"|")[2:] for name, row in state.sessions.items()},  # type: ignore[misc]
    )
