"""What gather has taken, until the core's own acquire asks by the same id."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from loco_redis import AcquireTimeoutError, BackendUnavailableError
from loco_redis._acquisition import Acquisition
from loco_redis._holding import Wish
from loco_redis.orchestration.pools._gathering import Claim, Gathering
from loco_redis.orchestration.pools.pool import ResourcePool
from tests.orchestration.pools.conftest import Pools, apart
from tests.waiting import eventually

WISH = Wish.of("agent", None, 1.0, None, "error")


async def gathered(pool: ResourcePool) -> list[Claim]:
    line = await pool._line("a")
    gathering = Gathering(line, [pool.get("a"), pool.get("b")], WISH, None)
    claims = await gathering.claims()
    gathering.leave()
    return claims


async def test_a_poll_leaves_a_claim_alone(pools: Pools) -> None:
    """Redis has a lease that no request of the session is for; it is not given back."""
    claims = await gathered(pools.pair())
    for claim in claims:
        claim.session.grants.poll(of_nothing=True)
        await eventually(lambda claim=claim: not claim.session.grants._polling)
    assert pools.held("g/a", "g/b") == [1, 1]
    for claim in claims * 2:
        claim.drop()
    await eventually(lambda: pools.held("g/a", "g/b") == [0, 0])


async def test_an_acquire_by_a_claim_gets_what_was_taken(pools: Pools) -> None:
    """The same lease, by the same token; what is not used of the others can be dropped."""
    pool = pools.pair()
    first, second = await gathered(pool)
    tokens = [row.token for row in pools.dump("g/a").leases.values()]
    wish = WISH._replace(timeout=0, claim=first[1:])
    async with Acquisition(pool.get("a"), wish) as lease:
        assert [lease.token] == tokens
        first.drop()  # of no effect: it is in use
        second.drop()
        await eventually(lambda: pools.held("g/a", "g/b") == [1, 0])
    assert pools.figure("g/a", b"granted") == 1


async def test_a_claim_of_an_expired_session_is_nobody_s(pools: Pools) -> None:
    """The acquire asks anew in the next session, once, and waits for nothing."""
    pool = pools.pair()
    claims = await gathered(pool)
    pools.server.client.flushall()
    for claim in claims:
        await eventually(lambda claim=claim: claim.ledger.expired)
        claim.drop()
    wish = WISH._replace(timeout=0, claim=claims[0][1:])
    async with Acquisition(pool.get("a"), wish) as lease:
        assert not lease.lost
        with pytest.raises(AcquireTimeoutError):
            await apart(_enter(Acquisition(pool.get("a"), wish)))


async def _enter(acquisition: Acquisition) -> None:
    async with acquisition:
        pass


async def test_a_claim_that_was_lost_is_asked_for_again(pools: Pools, monkeypatch: Any) -> None:
    """When the core's acquire gets nothing the whole is tried again, and nothing is left."""
    pool = pools.pair()
    lost = 0
    enter = Acquisition.__aenter__

    async def entered(acquisition: Acquisition) -> Any:
        nonlocal lost
        if acquisition._scheduler is pool.get("b") and lost < 2:
            lost += 1
            raise AcquireTimeoutError("g/b", "agent", 0)
        return await enter(acquisition)

    monkeypatch.setattr(Acquisition, "__aenter__", entered)
    async with pool.acquire_multiple("agent", ["a", "b"], timeout=5):
        assert lost == 2
        await eventually(lambda: pools.held("g/a", "g/b") == [1, 1])


async def test_a_cancelled_call_that_runs_late_grants_nothing(pools: Pools) -> None:
    """The caller has gone before its script runs: whatever that grants, or queues, goes back."""
    pool = pools.pair()
    async with pool.acquire_multiple("warm", ["a", "b"]):
        pass
    pools.server.client.client_pause(300)
    waiting = [apart(_take(pool)) for _ in range(3)]
    await asyncio.sleep(0.1)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert all(task.cancelled() for task in waiting)
    await eventually(lambda: pools.held("g/a", "g/b") == [0, 0] and not pools.in_line())
    await asyncio.wait_for(_take(pool), 5)


async def _take(pool: ResourcePool, **options: Any) -> None:
    async with pool.acquire_multiple("agent", ["a", "b"], **options):
        pass


async def test_without_redis_it_ends_in_time(pools: Pools) -> None:
    """By a typed error when the caller's time is up; what its script does later is taken back."""
    pool = pools.pair()
    async with pool.acquire_multiple("warm", ["a", "b"]):
        pass
    loop = asyncio.get_running_loop()
    started = loop.time()
    pools.server.client.client_pause(1500)
    with pytest.raises(AcquireTimeoutError):
        await _take(pool, timeout=0.3)
    assert loop.time() - started < 1.4
    with pytest.raises(BackendUnavailableError):
        await _take(pools.pair(backend_timeout=0.3), timeout=0)
    await asyncio.wait_for(_take(pool), 5)
    await eventually(lambda: pools.held("g/a", "g/b") == [0, 0] and not pools.in_line())
