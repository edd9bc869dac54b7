"""The line of a group: who goes first, who is told, what a dead process leaves in it."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from loco_redis import SharedResource
from loco_redis._keys import SUFFIXES
from loco_redis._rights import WORKER
from loco_redis._scripts import load
from loco_redis.orchestration._scripts import source
from loco_redis.orchestration.pools import _gathering
from loco_redis.orchestration.pools._line import line_key
from loco_redis.orchestration.pools.pool import ResourcePool
from tests.orchestration.pools.conftest import Pools, apart, in_line
from tests.waiting import eventually

CALLS = re.compile(r"redis\.call\('([A-Z]+)'")


def test_the_key_of_a_line_is_no_resource_s() -> None:
    """A scheduler named like the group has no such suffix."""
    assert line_key("g") == b"loco:{g}:line"
    assert "line" not in SUFFIXES


def test_the_scripts_call_what_a_worker_may() -> None:
    """No right is needed beside those of docs/security.md; all files are found and filled in."""
    of_core = {call for name in ("acquire", "cancel") for call in CALLS.findall(load(name))}
    for name in ("gather", "scatter"):
        text = source(name)
        assert {*CALLS.findall(text)} <= {*WORKER, *of_core}
        assert "--@" not in text
        assert not re.findall(r"\bK\.\w", text)
    assert load("acquire").strip() in source("gather")


async def test_nobody_behind_takes_what_one_in_front_waits_for(any_pools: Pools) -> None:
    """A stream of requests for `b` alone would starve the one that needs `a` and `b`."""
    pool = any_pools.pair()
    order: list[str] = []
    async with pool.acquire_multiple("holder", ["a"]):
        both = apart(_take(pool, "both", ["a", "b"], order))
        await in_line(any_pools, b"both")
        names = [f"later{number}" for number in range(4)]
        later = []
        for name in names:
            later.append(apart(_take(pool, name, ["b"], order)))
            await eventually(lambda name=name: name.encode() in any_pools.in_line())
        assert any_pools.figure("g/b", b"granted") == 0
    await asyncio.wait_for(asyncio.gather(both, *later), 10)
    assert order == ["both", *names]


async def _take(pool: ResourcePool, agent: str, names: list[str], order: list[str]) -> None:
    async with pool.acquire_multiple(agent, names):
        order.append(agent)


async def test_a_second_slot_is_not_spoken_for(pools: Pools) -> None:
    """One in front who waits takes one slot of each, not the whole resource."""
    pool = pools(SharedResource("a", 1, group="g"), SharedResource("b", 2, group="g"))
    order: list[str] = []
    async with pool.acquire_multiple("holder", ["a"]):
        both = apart(_take(pool, "both", ["a", "b"], order))
        await in_line(pools, b"both")
        await asyncio.wait_for(apart(_take(pool, "other", ["b"], order)), 0.7)
    await both
    assert order == ["other", "both"]


async def test_the_order_is_that_of_l(pools: Pools) -> None:
    """With equal ages the agent with more weight in the line goes first, then who came first."""
    pool = pools.pair()
    order: list[str] = []
    async with pool.acquire_multiple("holder", ["a"]):
        waiting = []
        for agent, weight in (("light", 1.0), ("heavy", 5.0), ("same", 1.0)):
            waiting.append(apart(_weighted(pool, agent, weight, order)))
            await eventually(lambda agent=agent: agent.encode() in pools.in_line())
    await asyncio.wait_for(asyncio.gather(*waiting), 10)
    assert order == ["heavy", "light", "same"]


async def _weighted(pool: ResourcePool, agent: str, weight: float, order: list[str]) -> None:
    async with pool.acquire_multiple(agent, ["a", "b"], weight=weight):
        order.append(agent)


async def test_age_beats_weight_in_the_end(pools: Pools) -> None:
    """A light request is not passed for ever by heavy ones that keep coming."""
    pool = pools.pair()
    order: list[str] = []
    async with pool.acquire_multiple("holder", ["a"]):
        waiting = [apart(_weighted(pool, "light", 1.0, order))]
        await in_line(pools, b"light")
        for _ in range(2):
            waiting.append(apart(_stream(pool, order, 15)))
        await eventually(lambda: len(pools.in_line()) == 3)
    await asyncio.wait_for(asyncio.gather(*waiting), 20)
    assert order.index("light") < 20


async def _stream(pool: ResourcePool, order: list[str], count: int) -> None:
    for _ in range(count):
        await _weighted(pool, "heavy", 9.0, order)


async def test_one_who_is_told_goes_at_once(pools: Pools, monkeypatch: Any) -> None:
    """Across pools: the hint, not the next try, lets it go."""
    monkeypatch.setattr(_gathering, "_PERIOD", 30.0)
    mine, theirs = pools.pair(), pools.pair()
    for _ in range(5):
        async with mine.acquire_multiple("first", ["a", "b"]):
            waiting = apart(_take(theirs, "second", ["b", "a"], []))
            await in_line(pools, b"second")
            line = theirs._lines["g"]
            await eventually(lambda line=line: line._inbox is not None and line._inbox._subscribed)
        await asyncio.wait_for(waiting, 3)


async def test_without_hints_it_goes_with_the_next_try(pools: Pools, monkeypatch: Any) -> None:
    """A plain `acquire` of the same resource tells nobody."""
    pool = pools.pair()
    async with pool.get("a").acquire("plain"):
        waiting = apart(_take(pool, "second", ["a", "b"], []))
        await in_line(pools, b"second")
    await asyncio.wait_for(waiting, 5)


async def test_a_row_that_nobody_renews_goes_away(pools: Pools) -> None:
    """It stands in the way until it has expired, then the next who asks takes it out."""
    pool = pools.pair()
    async with pool.acquire_multiple("warm", ["a", "b"]):
        pass
    seconds, micros = pools.server.client.time()
    until = seconds * 1_000_000 + micros + 700_000
    fields = {
        "#seq": 1,
        "#tick": 0,
        "#alpha": "0.25",
        "dead:1": f"1|0|9000000|{until}|g/a,g/b|dead",
    }
    pools.server.client.hset(line_key("g"), mapping=fields)
    loop = asyncio.get_running_loop()
    started = loop.time()
    await asyncio.wait_for(_take(pool, "next", ["a"], []), 10)
    assert loop.time() - started > 0.5
    await eventually(lambda: not pools.server.client.exists(line_key("g")))


async def test_a_waiter_keeps_its_age_when_its_row_is_lost(pools: Pools) -> None:
    """A pause longer than the row's life does not send it to the end."""
    pool = pools.pair()
    order: list[str] = []
    async with pool.acquire_multiple("holder", ["a"]):
        old = apart(_take(pool, "old", ["a"], order))
        await in_line(pools, b"old")
        line = pool._lines["g"]
        pools.server.client.delete(line_key("g"))
        young = apart(_take(pool, "young", ["a"], order))
        await eventually(lambda: b"young" in pools.in_line())
        line._wake_all()
        await in_line(pools, b"old", b"young")
        rows = pools.server.client.hgetall(line_key("g"))
        turns = {
            row.rsplit(b"|", 1)[1]: row.split(b"|")[:2] for n, row in rows.items() if n[:1] != b"#"
        }
        assert turns[b"old"] == [b"1", b"0"]
    await asyncio.wait_for(asyncio.gather(old, young), 10)
