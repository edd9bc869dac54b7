"""Whoever is cancelled, whenever, keeps neither a slot nor a place at a backend; and what becomes
of a decision whose reply is lost."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from loco_redis.errors import (
    AcquireTimeoutError,
    BackendUnavailableError,
    LeaseLostError,
    ShutdownError,
)
from loco_redis.orchestration._scripts import source
from loco_redis.orchestration.routing import Backend
from tests.orchestration.routing.routers import Routers
from tests.proxy import proxied
from tests.waiting import eventually


def sha(script: str) -> str:
    return hashlib.sha1(source(script).encode(), usedforsecurity=False).hexdigest()


async def test_cancelled_at_any_moment(routers: Routers) -> None:
    """A request is cancelled after 0, 1, 2, ... turns of the event loop: while it decides, while it
    waits, while it holds, while it reports."""
    router = routers([Backend("a", 1), Backend("b", 1)])
    entered = 0

    async def request() -> None:
        nonlocal entered
        async with router.route("agent"):
            entered += 1
            await asyncio.sleep(0)

    await request()
    for turns in [*range(60), *range(60, 600, 9)]:
        task = asyncio.create_task(request())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    assert entered > 1
    await eventually(lambda: routers.flights == 0 and routers.held == 0 and routers.waiting == 0)
    seen = await router.snapshot()
    assert [(each.in_flight, each.failed) for each in seen.backends] == [(0, 0)] * 2


@pytest.mark.parametrize("how", ["cancelled", "timed out"])
async def test_who_gives_up_waiting_counts_nowhere(routers: Routers, how: str) -> None:
    """One that waits for a slot: its place at the backend and in the queue are free again."""
    router = routers([Backend("a", 1)])

    async def waiter() -> None:
        async with router.route("waiter", timeout=0.05 if how == "timed out" else None):
            raise AssertionError("it has got a slot")

    async with routers.holding(router):
        waiting = asyncio.create_task(waiter())
        if how == "cancelled":
            await eventually(lambda: routers.waiting == 1)
            assert routers.flights == 2
            waiting.cancel()
        with pytest.raises((asyncio.CancelledError, AcquireTimeoutError)):
            await waiting
        assert (routers.flights, routers.held, routers.waiting) == (1, 1, 0)
    seen = (await router.snapshot())["a"]
    assert (seen.picked, seen.succeeded, seen.failed, seen.in_flight) == (2, 1, 0, 0)


async def test_cancelled_in_the_body(routers: Routers) -> None:
    """It says nothing of the backend."""
    router = routers(["a"])
    async with routers.holding(router) as holder:
        holder.task.cancel()
        await asyncio.wait([holder.task])
        assert (routers.flights, routers.held) == (0, 0)
        holder.task = asyncio.create_task(asyncio.sleep(0))
    seen = (await router.snapshot())["a"]
    assert (seen.succeeded, seen.failed) == (0, 0)


async def test_a_lost_reply_is_asked_for_again(routers: Routers) -> None:
    """The script ran, its reply was lost: the same decision comes back, one place is taken; an
    outcome whose reply was lost counts once."""
    async with proxied(routers.server) as proxy:
        router = routers(["a", "b"], redis=proxy.url)
        async with router.route("agent"):
            pass
        proxy.lose_reply_of(sha("route_least_loaded"), times=2)
        proxy.lose_reply_of(sha("report"), times=2)
        async with router.route("agent") as route:
            assert route.backend.name == "b"
            assert routers.flights == 1
        seen = await router.snapshot()
        assert [(each.picked, each.succeeded) for each in seen.backends] == [(1, 1), (1, 1)]
        assert proxy.lost == 4
        await router.aclose()


async def test_without_redis_it_says_so(routers: Routers) -> None:
    """After `backend_timeout` seconds, and takes nothing."""
    async with proxied(routers.server) as proxy:
        router = routers(["a"], redis=proxy.url, backend_timeout=0.3)
        async with router.route("agent"):
            pass
        proxy.lose_reply_of(sha("route_least_loaded"), times=100)
        with pytest.raises(BackendUnavailableError, match="no Redis at unix://"):
            async with router.route("agent"):
                pass
        await eventually(lambda: routers.flights == 0)
        await router.aclose()


async def test_closing_ends_what_is_under_way(routers: Routers) -> None:
    """One that holds is told that its lease is lost, one that waits that the router is shut down;
    no place at a backend is kept, also where a body does not end at once."""
    router, told = routers([Backend("a", 1)]), []
    go_on = asyncio.Event()

    async def holder() -> None:
        try:
            async with router.route("holder"):
                try:
                    await asyncio.Event().wait()
                finally:
                    await go_on.wait()
        except LeaseLostError as error:
            told.append(error)

    async def waiter() -> None:
        with pytest.raises(ShutdownError):
            async with router.route("waiter"):
                pass

    tasks = [asyncio.create_task(holder())]
    await eventually(lambda: routers.held == 1)
    tasks.append(asyncio.create_task(waiter()))
    await eventually(lambda: routers.waiting == 1)
    await router.aclose()
    assert routers.flights == 0
    go_on.set()
    await asyncio.gather(*tasks)
    assert len(told) == 1
    await router.aclose()


def test_it_belongs_to_its_event_loop(routers: Routers) -> None:
    """Another loop gets a RuntimeError that says what to do."""
    router = routers(["a"])
    with asyncio.Runner() as first:
        first.run(router.snapshot())
        with asyncio.Runner() as second, pytest.raises(RuntimeError, match="another event loop"):
            second.run(router.snapshot())
        first.run(router.aclose())
