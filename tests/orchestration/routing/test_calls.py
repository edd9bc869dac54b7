"""Calls over HTTP on loopback: fail-over, back-off, costs, pooled connections."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from loco_redis.orchestration.routing import (
    Backend,
    BackendFailure,
    Breaker,
    Http,
    NoBackendError,
    Route,
    Router,
)
from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.orchestration.routing.routers import Routers, fail
from tests.waiting import eventually

Start = Callable[[], FakeProvider]
BODY = {"model": "gpt-5-nano", "messages": [{"role": "user", "content": "2 + 2?"}]}


async def ask(route: Route) -> str:
    """A chat completion; raises httpx.HTTPStatusError as clients do."""
    headers = {"idempotency-key": route.request_id}
    response = await route.client.post("/chat/completions", json=BODY, headers=headers)
    response.raise_for_status()
    usage = response.json()["usage"]
    await route.used(usage["prompt_tokens"], usage["completion_tokens"])
    return route.backend.name


def backends(*providers: FakeProvider, **options: Any) -> list[Backend]:
    """Named a, b, ...; the first is asked first."""
    return [
        Backend(name, 10, base_url=provider.openai_url, **options)
        for name, provider in zip("abcdefgh", providers, strict=False)
    ]


def keys(provider: FakeProvider) -> list[str]:
    return [request.headers["idempotency-key"] for request in provider.requests]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=500),
        Reply(status=429, retry_after=0),
        Reply(break_after=0),
        Reply(status=529, retry_after=0),
    ],
    ids=lambda reply: str(reply.status if reply.failed else "broken"),
)
async def test_a_failure_goes_on_to_the_next_backend(
    routers: Routers, providers: Start, reply: Reply
) -> None:
    """With the same request id; both outcomes are counted, and the slot of the first is free."""
    first, second = providers(), providers()
    first.script(reply)
    router = routers(backends(first, second), strategy="round_robin")
    assert await router.call("agent", ask) == "b"
    assert keys(first) == keys(second)
    seen = await router.snapshot()
    assert (seen["a"].failed, seen["a"].succeeded) == (1, 0)
    assert (seen["b"].failed, seen["b"].succeeded) == (0, 1)
    assert await router.call("agent", ask) == "a"
    assert len({*keys(first)}) == 2


async def test_a_backend_that_hangs_or_refuses_is_passed_over(
    routers: Routers, providers: Start
) -> None:
    """A call that takes longer than it may, and a port that nobody listens at."""
    hanging, working = providers(), providers()
    gate = threading.Event()
    hanging.default = Reply(gate=gate)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        refusing = f"http://127.0.0.1:{unused.getsockname()[1]}"
        found = [
            Backend("a", 10, base_url=hanging.openai_url),
            Backend("b", 10, base_url=refusing),
            Backend("c", 10, base_url=working.openai_url),
        ]
        router = routers(found, strategy="round_robin")
        assert await router.call("agent", ask, attempt_timeout=0.3) == "c"
    await eventually(lambda: hanging.disconnects == 1)
    gate.set()
    seen = await router.snapshot()
    assert [seen[name].failed for name in "abc"] == [1, 1, 0]
    latency = seen["a"].latency
    assert latency is None  # a failure is no first sample


async def test_when_all_have_failed_the_last_error_tells_the_trail(
    routers: Routers, providers: Start
) -> None:
    """It is the backend's own error, with a note of what was tried, in order, for which request."""
    found = [providers() for _ in range(3)]
    for provider, status in zip(found, (500, 503, 502), strict=True):
        provider.default = Reply(status=status)
    router = routers(backends(*found), strategy="round_robin")
    with pytest.raises(httpx.HTTPStatusError, match="502") as told:
        await router.call("agent", ask, request_id="order-7")
    assert told.value.__notes__ == [
        "router 'models', request order-7: tried a (HTTP 500), then b (HTTP 503), then c (HTTP 502)"
    ]
    assert [len(keys(provider)) for provider in found] == [1, 1, 1]


async def test_what_is_left_may_be_broken(routers: Routers, providers: Start) -> None:
    """One has just failed, the other's breaker is open: the trail says so. With none at all it is
    a NoBackendError, at once."""
    first = providers()
    first.default = Reply(status=500)
    router = routers(backends(first, first), breaker=Breaker(errors=1, open_for=60))
    await fail(router, "b")
    with pytest.raises(httpx.HTTPStatusError) as told:
        await router.call("agent", ask)
    assert told.value.__notes__[0].endswith("tried a (HTTP 500); 1 more could not be used")
    with pytest.raises(NoBackendError, match="0 excluded or tried, 2 broken"):
        await router.call("agent", ask)
    assert len(first.requests) == 1


async def test_what_is_the_callers_fault_is_not_tried_elsewhere(
    routers: Routers, providers: Start
) -> None:
    """A 400, and an error of the function's own, come out at once and count against nobody."""
    first, second = providers(), providers()
    first.default = Reply(status=400)
    router = routers(backends(first, second), strategy="round_robin")
    with pytest.raises(httpx.HTTPStatusError, match="400"):
        await router.call("agent", ask)

    async def wrong(route: Route) -> None:
        raise KeyError(route.backend.name)

    with pytest.raises(KeyError, match="b"):
        await router.call("agent", wrong)
    seen = await router.snapshot()
    assert [(each.failed, each.succeeded, each.picked) for each in seen.backends] == [(0, 0, 1)] * 2
    assert second.requests == []


async def test_a_429_holds_its_backend_for_the_fleet(routers: Routers, providers: Start) -> None:
    """For as long as Retry-After says, no slot of it is granted to any process, and requests go to
    others."""
    first, second = providers(), providers()
    first.script(Reply(status=429, retry_after=0.6))
    one = routers(backends(first, second), strategy="round_robin")
    other = routers(backends(first, second), strategy="round_robin")
    assert await one.call("agent", ask) == "b"
    throttled = time.monotonic()
    assert 0.1 < (await one.snapshot())["a"].held_for <= 0.6
    assert await other.call("agent", ask) == "b"
    assert await other.call("agent", ask, exclude=["b"]) == "a"
    assert time.monotonic() - throttled > 0.4
    assert len(first.requests) == 2


async def test_the_pool_of_a_backend_is_shared_and_bounded(
    routers: Routers, providers: Start
) -> None:
    """Twelve calls at once over two connections, which all of them share."""
    provider = providers()
    provider.default = Reply(delay=0.02)
    found = backends(provider, http=Http(max_connections=2, headers={"authorization": "Bearer k"}))
    router = routers(found)
    assert await asyncio.gather(*(router.call("agent", ask) for _ in range(12))) == ["a"] * 12
    assert provider.peak == 2
    assert len(provider._server._connections) == 2
    assert {request.headers["authorization"] for request in provider.requests} == {"Bearer k"}
    async with routers.holding(router) as holder, router.route("agent") as route:
        client = route.client
        assert holder.route is not None
        assert holder.route.client is client
    await router.aclose()
    assert client.is_closed
    await eventually(lambda: not provider._server._connections)


async def test_a_call_costs_what_it_used(routers: Routers, providers: Start) -> None:
    """By the backend's prices and the tokens it reported; what was expected only until then, and
    where nothing is said. What a lease is settled at comes to the sum, by thousandths."""
    provider = providers()
    router = routers(backends(provider, price_in=10, price_out=30))
    for _ in range(20):
        await router.call("agent", ask, tokens=(1000, 1000))
    (billed,) = {
        (each.total_tokens - each.output_tokens, each.output_tokens) for each in provider.reported
    }
    cost = (10 * billed[0] + 30 * billed[1]) / 1e6
    seen = await router.snapshot()
    assert seen.spent == pytest.approx(20 * cost)
    assert (seen["a"].cost, seen.reserved) == (seen.spent, 0)
    costs = await router._schedulers["a"].metrics.cost_by_agent()
    assert costs["agent"] == pytest.approx(20 * cost, abs=0.001)

    async with router.route("agent", tokens=(1_000_000, 0)):
        assert (await router.snapshot()).reserved == 10
    async with router.route("agent") as route:
        assert await route.used(cost=0.25) == 0.25
    assert (await router.snapshot()).spent == pytest.approx(20 * cost + 10.25)


async def test_a_timeout_for_slots_is_one_for_all_attempts(routers: Routers) -> None:
    """It is the caller's: no backend has failed."""
    router = routers([Backend("a", 1), Backend("b", 1)], strategy="round_robin")
    async with routers.holding(router), routers.holding(router):
        with pytest.raises(TimeoutError, match="no slot of 'models-"):
            await router.call("agent", ask, timeout=0.05)
    seen = await router.snapshot()
    assert sum(each.failed for each in seen.backends) == 0


async def test_an_attempt_may_wait_as_long_as_the_others_have_left(
    routers: Routers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first attempt waited for a slot is missing in the timeout of the second."""
    router = routers([Backend("a", 1), Backend("b", 1)], strategy="round_robin")
    timeouts: list[float] = []
    make = router.route

    def route(*args: Any, **options: Any) -> Any:
        timeouts.append(options["timeout"])
        return make(*args, **options)

    async def work(route: Route) -> float:
        if route.attempt == 1:
            raise BackendFailure("it is ill")
        return route.lease.waited

    async with routers.holding(router, exclude=["b"]), routers.holding(router, exclude=["a"]):
        monkeypatch.setattr(router, "route", route)
        waiting = asyncio.create_task(router.call("agent", work, timeout=9))
        await eventually(lambda: routers.waiting == 1)
        asked = time.monotonic()
        await eventually(lambda: time.monotonic() > asked + 0.05)
    assert await waiting >= 0
    assert timeouts[0] == 9
    assert timeouts[1] < 8.96


async def test_a_body_may_say_itself_that_the_backend_failed(routers: Routers) -> None:
    """BackendFailure counts, whatever lies behind it; the attempt's number is known."""
    router = routers(["a", "b"], strategy="round_robin")

    async def work(route: Route) -> int:
        if route.attempt == 1:
            raise BackendFailure("an empty answer")
        return route.attempt

    assert await router.call("agent", work) == 2
    assert (await router.snapshot())["a"].failed == 1


async def test_a_closed_router_takes_no_more(routers: Routers) -> None:
    """Its repr tells how it is."""
    router: Router = routers(["a"])
    is_fresh = "<Router 'models' least_loaded over 1 backends, not open, 0 in flight here>"
    assert repr(router) == is_fresh
    async with router:
        async with router.route("agent") as route:
            assert repr(router).endswith("over 1 backends, open, 1 in flight here>")
            assert repr(route).startswith(f"<Route {route.request_id} to 'a' attempt=1 <Lease ")
    with pytest.raises(Exception, match="'models' is shut down"):
        async with router.route("agent"):
            pass
    assert "closed" in repr(router)
