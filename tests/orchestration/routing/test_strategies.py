"""Which backend each strategy decides for."""

from __future__ import annotations

import random
from collections import Counter

import fakeredis
import pytest

from loco_redis.orchestration.routing import Backend, Breaker, Router, RouterBudget
from loco_redis.orchestration.routing.settings import STRATEGIES, Strategy
from tests.orchestration.routing.routers import Routers, decide, fail, picks, report
from tests.schedulers import background_work

ABC = ("a", "b", "c")


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_request_goes_through(any_routers: Routers, strategy: Strategy) -> None:
    """Under each strategy, on each server: a backend, its slot, a figure of it, nothing left."""
    backends = [Backend("a", 2, cost=1), Backend("b", 2, cost=2)]
    async with any_routers(backends, strategy=strategy, slo=1, budget=RouterBudget(9)) as router:
        async with router.route("agent", "key", tokens=(10, 5), timeout=5) as route:
            name = route.backend.name
            assert route.lease.name == f"models-{name}"
            assert (await router.snapshot())[name].in_flight == 1
        seen = (await router.snapshot())[name]
    assert (seen.picked, seen.succeeded, seen.in_flight, seen.state) == (1, 1, 0, "closed")
    assert seen.latency is not None


async def test_round_robin_takes_turns_over_the_fleet(routers: Routers) -> None:
    """Two routers that decide in turn share one order; what is excluded only misses its turns."""
    one, other = routers(ABC, strategy="round_robin"), routers(ABC, strategy="round_robin")
    found = []
    for _ in range(15):
        found += await picks(one, 1) + await picks(other, 1)
    assert found == [*ABC] * 10
    assert await picks(one, 4, exclude=["b"]) == ["a", "c", "a", "c"]
    assert sorted(await picks(one, 3)) == [*ABC]


async def test_weighted_gives_each_its_share_of_a_round(routers: Routers) -> None:
    """Of each seven, weights 5, 1, 1 get five, one and one, spread as evenly as that goes."""
    weights = {"a": 5.0, "b": 1.0, "c": 1.0}
    backends = [Backend(name, 10, weight=weight) for name, weight in weights.items()]
    one, other = routers(backends, strategy="weighted"), routers(backends, strategy="weighted")
    found = []
    for _ in range(35):
        found += await picks(one, 1) + await picks(other, 1)
    assert found == [*"aabacaa"] * 10


async def test_least_loaded_fills_by_share_of_capacity(routers: Routers) -> None:
    """Seven in flight over capacities 4, 2, 1 fill each; the place that is left is taken next."""
    backends = [Backend("a", 4), Backend("b", 2), Backend("c", 1)]
    router = routers(backends, strategy="least_loaded")
    flying = [await decide(router) for _ in range(7)]
    assert Counter(each.backend for each in flying) == {"a": 4, "b": 2, "c": 1}
    left = next(each for each in flying if each.backend == "b")
    await report(router, left)
    flying[flying.index(left)] = again = await decide(router)
    assert again.backend == "b"
    for each in flying:
        await report(router, each)


async def test_lowest_latency_takes_the_quicker_of_two(routers: Routers) -> None:
    """Two are taken at random: the quickest of three gets two thirds, the second one third, the
    slowest nothing; until what is known of it is old."""
    random.seed(7)
    router = routers(ABC, strategy="lowest_latency")
    for name, latency in zip(ABC, (0.1, 0.5, 1.0), strict=True):
        decision = await decide(router, exclude=[other for other in ABC if other != name])
        await report(router, decision, "ok", latency=latency)
    shares = Counter(await picks(router, 300))
    assert set(shares) == {"a", "b"}
    assert 170 <= shares["a"] <= 230
    routers.set("c/latency", f"1000000|{routers.now() - 600_000_000}")
    assert Counter(await picks(router, 60))["c"] > 20


async def test_one_that_nobody_has_tried_is_taken_for_the_quickest(routers: Routers) -> None:
    """So it gets requests, but not all at once: those in flight there count."""
    router = routers(["a", "b"], strategy="lowest_latency")
    await report(router, await decide(router, exclude=["b"]), "ok", latency=0.5)
    flying = [await decide(router) for _ in range(10)]
    assert Counter(each.backend for each in flying) == {"a": 5, "b": 5}
    for each in flying:
        await report(router, each)


async def test_latencies_are_means_that_recent_requests_weigh_most_in(routers: Routers) -> None:
    """The first is taken as it is, then 0.3 of each new one; a failure counts if it took longer."""
    router = routers(["a"], strategy="lowest_latency")
    for outcome, latency, mean in (
        ("ok", 1.0, 1.0),
        ("ok", 2.0, 1.3),
        ("failed", 0.01, 1.3),
        ("failed", 11.3, 4.3),
        ("none", 99.0, 4.3),
    ):
        await report(router, await decide(router), outcome, latency=latency)  # type: ignore[arg-type]
        assert (await router.snapshot())["a"].latency == pytest.approx(mean)


async def test_sticky_keeps_keys_and_moves_only_those_of_a_broken_backend(
    routers: Routers,
) -> None:
    """300 keys over five backends: the same from every router; when a breaker opens only its keys
    move, to all others, and they come back."""
    names = [*"abcde"]
    breaker = Breaker(errors=1, open_for=60)
    one = routers(names, strategy="sticky", breaker=breaker)
    other = routers(reversed(names), strategy="sticky", breaker=breaker)
    keys = [f"user-{number}" for number in range(300)]

    async def places() -> dict[str, str]:
        return {key: (await picks(one, 1, key=key))[0] for key in keys}

    before = await places()
    assert {key: (await picks(other, 1, key=key))[0] for key in keys} == before
    assert all(35 <= share <= 90 for share in Counter(before.values()).values())
    assert await fail(one, "c") == "opened"
    during = await places()
    moved = [key for key in keys if during[key] != before[key]]
    assert moved == [key for key in keys if before[key] == "c"]
    assert {during[key] for key in moved} == {*"abde"}
    routers.set("c/health", "2|0|0")
    assert await places() == before


async def test_sticky_gives_more_keys_to_more_weight(routers: Routers) -> None:
    """A backend of weight 3 beside one of weight 1 has about three quarters of the keys."""
    backends = [Backend("a", 10, weight=3), Backend("b", 10)]
    router = routers(backends, strategy="sticky")
    found = Counter([(await picks(router, 1, key=f"{n}"))[0] for n in range(400)])
    assert 260 <= found["a"] <= 340


def priced() -> list[Backend]:
    return [
        Backend("cheap", 2, price_in=1, price_out=2),
        Backend("middle", 2, price_in=3, price_out=6),
        Backend("dear", 2, cost=0.5),
    ]


async def test_cost_aware_takes_the_cheapest_with_room(routers: Routers) -> None:
    """The prices of the expected tokens decide; who is full passes requests on to the next."""
    router = routers(priced(), strategy="cost_aware")
    flying = [await decide(router, tokens=(1000, 1000)) for _ in range(6)]
    assert [each.backend for each in flying] == 2 * ["cheap"] + 2 * ["middle"] + 2 * ["dear"]
    for each in flying:
        await report(router, each)
    # A call of half a million tokens costs less at a price per call.
    assert await picks(router, 1, tokens=(300_000, 200_000)) == ["dear"]


async def test_cost_aware_keeps_the_slo_until_the_budget_runs_low(routers: Routers) -> None:
    """Too slow a backend is passed over, whatever it costs; with less than a fifth of the budget
    left, the cheapest is taken whatever its latency. A new period begins with all of it."""
    budget = RouterBudget(10.0, period=1_000_000, downgrade_at=0.2)
    router = routers(priced(), strategy="cost_aware", slo=1.0, budget=budget)
    await report(router, await decide(router, tokens=(10, 10)), "ok", latency=3.0)
    assert await picks(router, 2, tokens=(10, 10)) == ["middle", "middle"]

    middle = await decide(router, tokens=(10, 10))
    await report(router, middle, "ok", latency=0.2, cost=7.999)
    assert (await picks(router, 1)) == ["middle"]
    spending = await decide(router, tokens=(1000, 0), exclude=["cheap"])  # 0.003 are reserved
    low = await decide(router, tokens=(10, 10))
    assert (low.backend, low.low) == ("cheap", True)
    await report(router, spending)
    await report(router, low)
    assert (await router.snapshot()).reserved == 0
    assert await picks(router, 1, tokens=(10, 10)) == ["middle"]

    await report(router, await decide(router, tokens=(10, 10)), "ok", latency=0.2, cost=5)
    assert await picks(router, 1, tokens=(10, 10)) == ["cheap"]
    routers.set("period", 1)
    assert await picks(router, 1, tokens=(10, 10)) == ["middle"]
    assert (await router.snapshot()).spent == 0


async def test_cost_aware_takes_the_quickest_where_none_keeps_the_slo(routers: Routers) -> None:
    """All three are too slow: the one that is expected to answer first."""
    router = routers(priced(), strategy="cost_aware", slo=0.1)
    for name, latency in (("cheap", 3.0), ("middle", 2.0), ("dear", 1.0)):
        others = [other for other in router.backends if other != name]
        await report(router, await decide(router, exclude=others), "ok", latency=latency)
    assert await picks(router, 1, tokens=(10, 10)) == ["dear"]


async def test_who_asks_to_be_left_alone_is_left_alone(routers: Routers) -> None:
    """A failure with a pause takes its backend out for so long, unless all are; the keys of a
    sticky one wait for it."""
    router = routers(ABC, strategy="round_robin")
    sticky = routers(ABC, strategy="sticky")
    places = {name: f"{n}" for n in range(20) for name in await picks(sticky, 1, key=f"{n}")}
    await report(router, await decide(router, exclude=["b", "c"]), "failed", pause=60)
    assert set(await picks(router, 6)) == {"b", "c"}
    assert 50 < (await router.snapshot())["a"].held_for <= 60
    assert await picks(router, 1, exclude=["b", "c"]) == ["a"]
    assert await picks(sticky, 1, key=places["a"]) == ["a"]


async def test_a_repeated_script_changes_nothing(routers: Routers) -> None:
    """A decision with the same id is the same decision; an outcome counts once; the reservation of
    an unknown id is nothing."""
    router = routers(ABC, strategy="round_robin")
    first = await decide(router, tokens=(5, 5))
    again = await router._fleet.decide(first.id, "", (5, 5), ())
    assert again == first
    assert (routers.flights, (await router.snapshot())["a"].picked) == (1, 1)
    for _ in range(2):
        await report(router, first, "ok", latency=1, cost=2)
    seen = await router.snapshot()
    assert (seen["a"].succeeded, seen["a"].in_flight, seen.spent) == (1, 0, 2)


async def test_each_strategy_works_in_a_cluster(cluster_url: str) -> None:
    """All keys of a router share a slot, as those of each of its backends do."""
    for strategy in STRATEGIES:
        backends = [Backend("a", 1, cost=1), Backend("b", 1, cost=1)]
        async with Router(f"c-{strategy}", backends, cluster_url, strategy=strategy) as router:
            async with router.route("agent", "key", timeout=10):
                pass
            assert sum(each.succeeded for each in (await router.snapshot()).backends) == 1


async def test_each_strategy_works_on_fakeredis() -> None:
    """For users' own tests."""
    for strategy in STRATEGIES:
        client = fakeredis.FakeAsyncRedis()
        backends = [Backend("a", 1, cost=1), Backend("b", 1, cost=1)]
        async with Router("fake", backends, client, strategy=strategy) as router:
            async with router.route("agent", "key", timeout=10):
                pass
            assert sum(each.succeeded for each in (await router.snapshot()).backends) == 1
        await client.aclose()


async def test_the_embedded_server_serves_a_router() -> None:
    """It runs as long as the router needs it."""
    async with Router("small", [Backend("a", 1)], "embedded://") as router:
        async with router.route("agent"):
            assert (await router.snapshot())["a"].in_flight == 1
    assert background_work() == []
