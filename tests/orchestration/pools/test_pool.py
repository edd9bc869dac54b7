"""A pool: what it is made of, and slots of several resources together."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from loco_redis import (
    AcquireTimeoutError,
    BudgetExceededError,
    BudgetPolicy,
    LeaseLostError,
    ReentrantAcquireError,
    SharedResource,
    ShutdownError,
    Task,
)
from loco_redis.orchestration.pools.pool import ResourcePool
from tests.orchestration.pools.conftest import Pools, apart, in_line
from tests.waiting import eventually


def resource(name: str, capacity: int = 1, group: str | None = "g") -> SharedResource:
    return SharedResource(name, capacity, group=group)


async def test_a_pool_knows_its_resources(any_pools: Pools) -> None:
    """get, primary, names and utilization; nothing opens before it is used."""
    pool = any_pools(resource("llm_api", 4), resource("gpu"), resource("disk", group=None))
    assert pool.names == ("llm_api", "gpu", "disk")
    assert pool.primary is pool.get("llm_api")
    assert pool.get("gpu").name == "g/gpu"
    assert pool.get("disk").session_id is None
    async with pool.acquire_multiple("a", ["llm_api", "gpu"], timeout=5, weight=2.0) as leases:
        assert list(leases) == ["llm_api", "gpu"]
        assert leases["gpu"].token > 0
        assert leases["gpu"].task.weight == 2.0
        assert await pool.utilization() == {"llm_api": 0.25, "gpu": 1.0, "disk": 0.0}
    assert any_pools.held("g/llm_api", "g/gpu") == [0, 0]
    assert "g/llm_api, g/gpu, disk" in repr(pool)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "names must not be empty"),
        (["a", "x"], "no resource 'x' in the pool: it has a, b"),
        (["a", "b", "a"], "'a' is named twice"),
        ("ab", "names must be a list"),
    ],
)
async def test_wrong_names_are_refused_at_once(pools: Pools, names: Any, message: str) -> None:
    """One line that names the value, before anything is sent."""
    with pytest.raises(ValueError, match=message):
        pools.pair().acquire_multiple("agent", names)


async def test_wrong_resources_are_refused() -> None:
    """A name twice, what is no resource, rules that belong to one of them, an empty pool."""
    pool = ResourcePool(redis="redis://localhost")
    with pytest.raises(ValueError, match="the pool is empty"):
        _ = pool.primary
    pool.add(resource("gpu"))
    with pytest.raises(ValueError, match="has a resource 'gpu'"):
        pool.add(resource("gpu", group="h"))
    with pytest.raises(ValueError, match="takes a SharedResource, got 'gpu'"):
        pool.add("gpu")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no resource 'x' in the pool: it has gpu"):
        pool.get("x")
    with pytest.raises(ValueError, match="budget belongs to one resource"):
        ResourcePool(budget=BudgetPolicy())


async def test_all_or_nothing(any_pools: Pools) -> None:
    """While one of two is full, no slot of the other is ever granted."""
    pool = any_pools.pair()
    async with pool.acquire_multiple("first", ["a"]):
        waiting = apart(hold(pool, "second", ["a", "b"]))
        await in_line(any_pools, b"second")
        with pytest.raises(AcquireTimeoutError, match="no slot of 'g/a,g/b' for agent 'third'"):
            await apart(hold(pool, "third", ["b", "a"], timeout=0))
        await any_pools_granted_is(any_pools, "g/b", 0)
    await waiting
    assert any_pools.figure("g/b", b"granted") == 1
    assert any_pools.held("g/a", "g/b") == [0, 0]


async def any_pools_granted_is(pools: Pools, name: str, expected: int) -> None:
    assert pools.figure(name, b"granted") == expected
    assert pools.figure(name, b"peak") == expected
    assert pools.figure(name, b"waiting") == 0


async def hold(
    pool: ResourcePool, agent: str, names: list[str], order: list[str] | None = None, **options: Any
) -> None:
    async with pool.acquire_multiple(agent, names, **options):
        if order is not None:
            order.append(agent)


async def test_a_timeout_leaves_nothing(any_pools: Pools) -> None:
    """Neither in the line nor in a resource; it names what was asked for."""
    pool = any_pools.pair()
    async with pool.acquire_multiple("first", ["b"]):
        with pytest.raises(AcquireTimeoutError, match="within 0.2 s"):
            await apart(hold(pool, "second", ["a", "b"], timeout=0.2))
        await in_line(any_pools)
        await eventually(lambda: not any_pools.server.client.exists("loco:{g}:line"))
        assert any_pools.held("g/a", "g/b") == [0, 1]


async def test_a_cancelled_waiter_leaves_nothing(pools: Pools) -> None:
    """And whoever stood behind it goes at once."""
    pool, order = pools.pair(), list[str]()
    async with pool.acquire_multiple("first", ["b"]):
        second = apart(hold(pool, "second", ["a", "b"]))
        await in_line(pools, b"second")
        third = apart(hold(pool, "third", ["a"], order))
        await in_line(pools, b"second", b"third")
        second.cancel()
        await asyncio.wait_for(third, 0.7)
        assert order == ["third"]
        await in_line(pools)
    with pytest.raises(asyncio.CancelledError):
        await second


async def test_cancelled_at_any_moment_it_leaves_nothing(pools: Pools) -> None:
    """Before the script ran, between the two scripts, while it holds."""
    pool = pools.pair()
    await hold(pool, "warm", ["a", "b"])
    for moment in range(60):
        task = apart(hold(pool, "hasty", ["a", "b"]))
        for _ in range(moment):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    await asyncio.wait_for(apart(hold(pool, "after", ["a", "b"])), 5)
    await eventually(lambda: pools.held("g/a", "g/b") == [0, 0])


async def test_what_is_held_cannot_be_asked_for_again(pools: Pools) -> None:
    """Nesting would wait for itself."""
    pool = pools.pair()
    async with pool.acquire_multiple("a", ["a"]):
        with pytest.raises(ReentrantAcquireError):
            await hold(pool, "a", ["a", "b"], timeout=1)
    assert pools.held("g/a", "g/b") == [0, 0]


async def test_a_failing_body_is_not_charged(pools: Pools) -> None:
    """Its error comes out as it is, and all slots are free."""
    pool = pools.pair()
    with pytest.raises(KeyError):
        async with pool.acquire_multiple("a", ["a", "b"], Task(weight=3.0)):
            raise KeyError("mine")
    assert pools.held("g/a", "g/b") == [0, 0]
    assert not pools.dump("g/a").costs


async def test_a_refusal_of_one_is_its_error(pools: Pools) -> None:
    """What the others had given is taken back: no slot, no cost, no place in the line."""
    pool = pools.pair()
    pool.add(resource("c"), budget=BudgetPolicy(default_limit=5, on_exceeded="reject"))
    pools._names.add("g/c")
    with pytest.raises(BudgetExceededError):
        await hold(pool, "poor", ["a", "c"], weight=9.0)
    assert pools.held("g/a", "g/c") == [0, 0]
    await hold(pool, "poor", ["a", "c"], weight=4.0)


async def test_a_slot_that_may_not_be_given_yet_is_waited_for(pools: Pools) -> None:
    """A rate: the free slot is refused by `acquire`, and the other is given back at once."""
    pool = pools(resource("a"))
    pool.add(SharedResource("r", 1, rpm=120, rpm_burst=1, group="g"))
    pools._names.add("g/r")
    for _ in range(2):
        await asyncio.wait_for(apart(hold(pool, "a", ["a", "r"])), 5)
    assert pools.held("g/a", "g/r") == [0, 0]
    assert pools.figure("g/r", b"waiting") == 0


async def test_a_lost_lease_ends_the_body(pools: Pools) -> None:
    """One of several is enough."""
    pool = pools.pair()

    async def robbed() -> None:
        async with pool.acquire_multiple("a", ["a", "b"]) as leases:
            await pool.get("b").operations.release(leases["b"].token)
            await asyncio.Event().wait()

    with pytest.raises(LeaseLostError):
        await robbed()
    await eventually(lambda: pools.held("g/a", "g/b") == [0, 0])


async def test_across_groups_in_the_order_of_names(pools: Pools) -> None:
    """Full names, whatever the order in the list; all are released on failure."""
    pool = pools(
        resource("z", group="a"), resource("m", group=None), resource("a", group="z"), events=100
    )
    async with pool.acquire_multiple("one", ["a", "m", "z"]) as leases:
        assert list(leases) == ["a", "m", "z"]
        tokens = [leases[name].token for name in ("z", "m", "a")]
        assert tokens == sorted(tokens)
    async with pool.acquire_multiple("one", ["a"]):
        with pytest.raises(AcquireTimeoutError):
            await apart(hold(pool, "two", ["a", "m", "z"], timeout=0.2))
        assert pools.held("a/z", "m", "z/a") == [0, 0, 1]


async def test_one_timeout_over_all(pools: Pools) -> None:
    """What the first parts have waited is missing to the last."""
    pool = pools(resource("a", group=None), resource("b", group="h"))
    loop = asyncio.get_running_loop()
    async with pool.acquire_multiple("holds", ["b"]):
        first = apart(hold_until(pool, ["a"], ended := asyncio.Event()))
        await eventually(lambda: pools.held("a") == [1])
        loop.call_later(0.3, ended.set)
        started = loop.time()
        with pytest.raises(AcquireTimeoutError):
            await apart(hold(pool, "late", ["a", "b"], timeout=0.6))
        assert 0.5 < loop.time() - started < 1.5
        await first


async def hold_until(pool: ResourcePool, names: list[str], ended: asyncio.Event) -> None:
    async with pool.acquire_multiple("holder", names):
        await ended.wait()


async def test_closing_tells_those_who_wait(pools: Pools) -> None:
    """ShutdownError; nothing is left in the line."""
    pool = pools.pair()
    other = pools.pair()
    async with other.acquire_multiple("first", ["a"]):
        waiting = apart(hold(pool, "second", ["a", "b"]))
        await in_line(pools, b"second")
        await pool.aclose()
        with pytest.raises(ShutdownError):
            await waiting
        await in_line(pools)


async def test_an_acquisition_is_for_one_use(pools: Pools) -> None:
    """As those of a scheduler."""
    acquisition = pools.pair().acquire_multiple("a", ["a"])
    async with acquisition:
        pass
    with pytest.raises(RuntimeError, match="entered once"):
        async with acquisition:
            pass


async def test_a_lost_reply_of_gather_is_harmless(pools: Pools, monkeypatch: Any) -> None:
    """Run twice with the same ids it answers the same: nothing is granted twice."""
    pool = pools.pair()
    await hold(pool, "warm", ["a", "b"])
    caller = pool._lines["g"]._caller
    run = caller._run

    async def twice(*args: Any) -> Any:
        first = await run(*args)
        second = await run(*args)
        assert first[0] == second[0] == 1
        return second

    monkeypatch.setattr(caller, "_run", twice)
    async with pool.acquire_multiple("a", ["a", "b"]):
        assert pools.held("g/a", "g/b") == [1, 1]
    assert pools.figure("g/a", b"granted") == 2


async def test_a_script_that_the_server_lost_is_sent_again(pools: Pools) -> None:
    """SCRIPT FLUSH, as after a restart."""
    pool = pools.pair()
    await hold(pool, "a", ["a", "b"])
    pools.server.client.script_flush()
    await hold(pool, "a", ["a", "b"])


async def test_an_emptied_server_is_opened_anew(pools: Pools) -> None:
    """Sessions that Redis has forgotten are opened again, and the request asks again."""
    pool = pools.pair()
    await hold(pool, "a", ["a", "b"])
    pools.server.client.flushall()
    await asyncio.wait_for(hold(pool, "a", ["a", "b"]), 10)


async def test_a_pool_works_on_a_cluster(cluster_url: str) -> None:
    """A group lies in one slot; two groups and what has none are acquired in order."""
    async with ResourcePool(redis=cluster_url, lease_ttl=2.0) as pool:
        for name, group in (("a", "g"), ("b", "g"), ("c", "h"), ("d", None)):
            pool.add(resource(name, group=group))
        order: list[str] = []
        async with pool.acquire_multiple("one", ["d", "c", "b", "a"]):
            waiting = [apart(hold(pool, f"w{i}", ["b", "a"], order)) for i in range(3)]
            line = pool._lines["g"]
            await eventually(lambda: len(line.waiting) == 3 and line._inbox is not None)
        await asyncio.wait_for(asyncio.gather(*waiting), 10)
        assert sorted(order) == ["w0", "w1", "w2"]
