"""A master that dies while sentinels watch it: its replica takes over, with all it knew or less."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator

import pytest
import redis

from loco_redis import LeaseLostError
from tests.faults.conftest import Seen
from tests.faults.topologies import SERVICE, Watched, client_of, watched
from tests.faults.traffic import scheduler, state_at_rest, traffic, until_waited_for
from tests.servers import EmbeddedServer
from tests.waiting import eventually

pytestmark = pytest.mark.chaos

LEASE = 2.0


@pytest.fixture
def sentinels() -> Iterator[Watched]:
    """Three of them, two of which must agree that a master is gone for half a second."""
    with watched() as servers:
        yield servers


@pytest.mark.parametrize("detached", [False, True], ids=["in_step", "behind"])
async def test_sentinel_failover(sentinels: Watched, seen: Seen, detached: bool) -> None:
    """The master is killed under load: work goes on by the new one, in the sessions that it knows.
    Tokens rise and no caller is refused, also where the new master has never heard of the last
    grants and requests; then a slot may be doubly used until their holders know it."""
    async with traffic(sentinels.url, capacity=3, lease_ttl=LEASE) as load:
        holding = load.schedulers[0]
        handle = await holding.acquire_start("holder")
        assert client_of(sentinels.master).wait(1, 5000) == 1
        forgotten = None
        if detached:
            sentinels.detach()
            forgotten = await load.schedulers[1].acquire_start("forgotten")
            await load.flows(since=time.monotonic())
        os.kill(sentinels.master.pid, signal.SIGKILL)
        killed = time.monotonic()
        await load.flows(since=killed + 0.1, timeout=30.0)
        assert not handle.lease.lost
        await holding.release_handle(handle)
        if forgotten is not None:
            assert forgotten.lease.lost
            with pytest.raises(LeaseLostError):
                await load.schedulers[1].release_handle(forgotten)
        told = await load.finish()
    state = state_at_rest(sentinels.replica)
    told.check_tokens()
    assert told.failures == []
    unknown = len(told.passages) + 1 + detached - state.number("granted")
    if detached:
        assert unknown > 0
    else:
        assert (told.lost, told.sessions) == ([], load.sessions)
        assert told.overlap() <= 0.0
    recovered = told.first_after(killed + 0.1) + 0.1
    seen(
        f"{len(told.passages)} grants in 3 sessions, 3 sentinels, down-after 0.5 s; SIGKILL with "
        f"{told.under_way(killed)} calls under way, {unknown} grants not replicated",
        f"first grant by the new master after {recovered:.2f} s; {told.outcome}; tokens rose",
    )


async def test_sentinel_failover_by_hand(sentinels: Watched) -> None:
    """Work goes on by the new master: what was held is released there, what waited is served."""
    client = client_of(sentinels.sentinels[0])
    async with scheduler(sentinels.url, 1, lease_ttl=3.0) as own:
        handle = await own.acquire_start("a")
        waiter = asyncio.create_task(own.acquire_start("b"))
        await until_waited_for(own)
        assert client_of(sentinels.master).wait(1, 5000) == 1
        client.execute_command("SENTINEL", "FAILOVER", SERVICE)
        await eventually(lambda: _is_master(sentinels.replica), 20)
        await own.release_handle(handle)
        served = await waiter
        assert not served.lease.lost
        await own.release_handle(served)
        assert (await own.snapshot()).released == 2


def _is_master(server: EmbeddedServer) -> bool:
    with contextlib.suppress(redis.ConnectionError):  # a failover breaks connections
        return bool(client_of(server).info("replication")["role"] == "master")
    return False
