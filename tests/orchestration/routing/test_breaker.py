"""When a backend counts as broken, and how it is found to work again."""

from __future__ import annotations

import asyncio
import time

import pytest

from loco_redis.orchestration.routing import (
    Backend,
    BackendFailure,
    Breaker,
    NoBackendError,
    Router,
)
from loco_redis.orchestration.routing._fleet import Decision
from tests.orchestration.routing.routers import Routers, decide, fail, picks, refused, report
from tests.waiting import eventually

AB = ("a", "b")


def open_for(routers: Routers, backend: str) -> float:
    return int(routers.field(f"{backend}/health").split("|")[2]) / 1e6


async def test_it_opens_at_so_many_errors_for_the_whole_fleet(routers: Routers) -> None:
    """Two errors here and one there open it, and no router sends anything; one error less, or
    successes between, do not keep it open or closed."""
    breaker = Breaker(errors=3, open_for=60)
    one, other = routers(AB, breaker=breaker), routers(AB, breaker=breaker)
    assert await fail(one, "a", 2) == ""
    await report(one, await decide(one, exclude=["b"]), "ok")
    assert (await other.snapshot())["a"].state == "closed"
    assert await fail(other, "a") == "opened"
    assert {*await picks(one, 5), *await picks(other, 5)} == {"b"}
    seen = (await one.snapshot())["a"]
    assert (seen.state, seen.failed) == ("open", 3)
    assert 50 < seen.open_for <= 60


async def test_only_errors_inside_the_window_count(routers: Routers) -> None:
    """Two errors of an hour ago are forgotten."""
    router = routers(AB, breaker=Breaker(errors=3, window=30))
    await fail(router, "a", 2)
    old = routers.now() - 3_600_000_000
    routers.set("a/errors", f"{old} {old}")
    assert await fail(router, "a", 2) == ""
    assert await fail(router, "a") == "opened"


async def test_once_closed_it_counts_anew(routers: Routers) -> None:
    """The errors that opened it are forgotten, although they are inside the window."""
    router = routers(AB, breaker=Breaker(errors=3, window=3600, open_for=60))
    assert await fail(router, "a", 3) == "opened"
    routers.half_open("a")
    assert await report(router, await decide(router), "ok") == "closed"
    assert await fail(router, "a", 2) == ""
    assert await fail(router, "a") == "opened"


async def test_half_open_lets_so_many_probes_through(routers: Routers) -> None:
    """Two at a time over the fleet, before any other backend; a success closes the breaker."""
    breaker = Breaker(errors=1, open_for=60, probes=2)
    one, other = routers(AB, breaker=breaker), routers(AB, breaker=breaker)
    await fail(one, "a")
    routers.half_open("a")
    assert (await one.snapshot())["a"].state == "half_open"
    flying = [await decide(router) for router in (one, other, one, other)]
    assert [(each.backend, each.probe) for each in flying] == [
        ("a", True),
        ("a", True),
        ("b", False),
        ("b", False),
    ]
    assert (await one.snapshot())["a"].probes == 2
    await report(one, flying[0])  # cancelled: its place is free again
    flying[0] = await decide(one)
    assert flying[0].probe
    assert await report(other, flying[1], "ok") == "closed"
    assert not (await decide_and_end(one)).probe
    assert (await one.snapshot())["a"].state == "closed"
    assert await report(one, flying[0], "failed") == ""  # it was sent before the breaker closed
    for each in flying[2:]:
        await report(one, each)


async def test_a_probe_that_fails_doubles_the_time_up_to_a_limit(routers: Routers) -> None:
    """10, 20, 40, 45, 45 seconds; once closed, it begins with 10 again."""
    router = routers(AB, breaker=Breaker(errors=1, open_for=10, longest=45))
    await fail(router, "a")
    times = [open_for(routers, "a")]
    for _ in range(4):
        routers.half_open("a")
        assert await fail(router, "a") == "opened"
        times.append(open_for(routers, "a"))
    assert times == [10, 20, 40, 45, 45]
    routers.half_open("a")
    assert await report(router, await decide(router), "ok") == "closed"
    await fail(router, "a")
    assert open_for(routers, "a") == 10


async def test_an_outcome_of_before_moves_nothing(routers: Routers) -> None:
    """What was sent before the breaker opened neither closes it, nor opens it for longer."""
    router = routers(AB, breaker=Breaker(errors=1, open_for=10))
    early = [await decide(router, exclude=["b"]) for _ in range(2)]
    await fail(router, "a")
    routers.half_open("a")
    assert await report(router, early[0], "ok") == ""
    assert await report(router, early[1], "failed") == ""
    assert open_for(routers, "a") == 10
    assert (await router.snapshot())["a"].state == "half_open"


async def test_the_place_of_a_dead_probe_is_free_again(routers: Routers) -> None:
    """A reservation that nobody renews goes, with what it had reserved counted as spent."""
    backends = [Backend("a", 5, cost=3), Backend("b", 5)]
    router = routers(backends, breaker=Breaker(errors=1, open_for=10))
    await fail(router, "a")
    routers.half_open("a")
    dead = await decide(router)
    assert dead.probe
    assert not (await decide_and_end(router)).probe
    routers.server.client.zadd(routers.key("expiry"), {dead.id: routers.now() - 1})
    again = await decide(router)
    assert (again.backend, again.probe) == ("a", True)
    assert await report(router, dead, "ok") == ""
    assert (await router.snapshot())["a"].in_flight == 1
    await report(router, again)
    seen = await router.snapshot()
    assert (seen.spent, seen.reserved, seen["a"].in_flight) == (3, 0, 0)


async def decide_and_end(router: Router) -> Decision:
    decision = await decide(router)
    await report(router, decision)
    return decision


async def test_without_a_backend_it_says_when_there_may_be_one(routers: Routers) -> None:
    """NoBackendError names how many are broken or excluded, and the time until the next probe."""
    router = routers(AB, breaker=Breaker(errors=1, open_for=30))
    await fail(router, "a")
    wait = (await refused(router, exclude=["b"])).wait
    assert wait is not None
    assert 25 < wait <= 30
    with pytest.raises(NoBackendError, match="1 excluded or tried, 1 broken: try again in") as told:
        async with router.route("agent", exclude=["b"]):
            pass
    assert told.value.retry_after == pytest.approx(wait, abs=5)
    routers.half_open("a")
    probe = await decide(router)
    assert (await refused(router, exclude=["b"])).wait is None
    await report(router, probe)


async def test_who_waits_for_a_slot_of_a_broken_backend_goes_elsewhere(routers: Routers) -> None:
    """Its breaker opens while a request waits: when the slot comes it is given back unused, and
    the request goes to another backend."""
    backends = [Backend("a", 1), Backend("b", 1)]
    router = routers(backends, strategy="sticky", breaker=Breaker(errors=1, open_for=60))
    places = {name: f"{n}" for n in range(50) for name in await picks(router, 1, key=f"{n}")}
    key = places["a"]

    async def waiter() -> str:
        async with router.route("waiter", key, timeout=10) as route:
            return route.backend.name

    async with routers.holding(router, key) as holder:
        waiting = asyncio.create_task(waiter())
        await eventually(lambda: routers.waiting == 1)
        asked = time.monotonic()
        await eventually(lambda: time.monotonic() > asked + 0.1)  # a long wait
        holder.fails(BackendFailure("it has burnt down", status=500))
    assert await waiting == "b"
    assert (await router.snapshot())["a"].in_flight == 0
