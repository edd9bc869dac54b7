"""Rates of the resource itself, holds that somebody asked for, and capacity that adapts."""

from __future__ import annotations

import asyncio
import time

import pytest

from loco_redis import AcquireTimeoutError, AsyncLOCOScheduler, SharedResource, Task
from loco_redis._replies import Status
from loco_redis.testing import ops
from tests.lua.lockstep import Lockstep
from tests.schedulers import NAME, Schedulers
from tests.servers import Server
from tests.waiting import eventually

SECOND = 1_000_000


def keeps_schedule(times: list[int], gap: int, burst: int) -> bool:
    """No stretch of grants (us) has more than the burst and what the rate adds."""
    first = times[0]
    return all(
        times[j] - times[i] >= (j - i - burst + 1) * gap
        for j in range(len(times))
        for i in range(max(0, j - 3 * burst), j)
    ) and all(t - first >= (n - burst + 1) * gap for n, t in enumerate(times))


def paced(server: Server, **rates: int) -> Lockstep:
    pair = Lockstep(server.client)
    pair.do(ops.Open("a", 0, "h|1", capacity=2000, **rates))  # type: ignore[arg-type]
    return pair


def test_a_thousand_requests_keep_the_schedule(server: Server) -> None:
    """At 600 a minute with a burst of 10, grants come as early as the schedule allows and no
    earlier, by nothing but looking again when the scripts say so."""
    pair = paced(server, rpm=600, rpm_burst=10)
    pair.is_quick = True
    times: list[int] = []
    told = 0
    for sequence in range(1, 1001):
        reply = pair.do(ops.Acquire("a", 1, 0, sequence, b"x", 1000))
        times += [pair.now] * len(reply.grants)
        told = reply.wake
    while len(times) < 1000:
        assert told > 0
        pair.now += told
        before = len(pair.state.holders())
        told = pair.do(ops.Reap()).wake
        times += [pair.now] * (len(pair.state.holders()) - before)
        if len(times) % 20 == 0:
            pair.do(ops.Heartbeat("a", 1, 0))
    pair.compare()
    assert keeps_schedule(times, SECOND // 10, 10)
    assert times[-1] - times[0] <= 1.05 * 990 * SECOND // 10
    pair.close()


@pytest.mark.alone
async def test_processes_keep_a_rate_together(server: Server, schedulers: Schedulers) -> None:
    """Two schedulers share 6,000 a minute: never more than that, and hardly less."""
    resource = SharedResource(NAME, 50, rpm=6000, rpm_burst=10)
    tokens: list[int] = []

    async def work(scheduler: AsyncLOCOScheduler) -> None:
        for _ in range(15):
            async with scheduler.acquire("a") as lease:
                tokens.append(lease.token)  # the server's time of the grant, in microseconds

    async with (
        AsyncLOCOScheduler([], resource, redis=server.url) as one,
        AsyncLOCOScheduler([], resource, redis=server.url) as other,
    ):
        began = time.monotonic()
        await asyncio.gather(*(work(s) for s in (one, other) for _ in range(10)))
        took = time.monotonic() - began
    tokens.sort()
    assert keeps_schedule(tokens, SECOND // 100, 10)
    assert took <= 1.05 * 290 / 100 + 0.1


async def test_tokens_are_counted_and_corrected(schedulers: Schedulers) -> None:
    """A task waits until the tokens that it expects are there; what it used in truth counts."""
    resource = SharedResource(NAME, 5, tpm=6000, tpm_burst=100)
    async with AsyncLOCOScheduler([], resource, redis=schedulers.server.url) as scheduler:
        async with scheduler.acquire("a", Task(tokens=90)) as lease:
            await lease.settle(1.0, tokens=20)
        async with scheduler.acquire("a", Task(tokens=80), timeout=0):
            pass
        with pytest.raises(AcquireTimeoutError):
            async with scheduler.acquire("a", Task(tokens=50), timeout=0):
                pass
        began = time.monotonic()
        async with scheduler.acquire("a", Task(tokens=50)):
            assert 0.3 < time.monotonic() - began < 1.0  # half a second brings 50


async def test_larger_than_the_bucket_waits_until_it_is_full(schedulers: Schedulers) -> None:
    """A task of more tokens than ever come at once is not stuck."""
    resource = SharedResource(NAME, 5, tpm=60_000, tpm_burst=100)
    async with AsyncLOCOScheduler([], resource, redis=schedulers.server.url) as scheduler:
        async with scheduler.acquire("a", Task(tokens=500), timeout=5.0) as lease:
            assert lease.waited < 1.0


async def test_throttled_holds_the_whole_fleet(schedulers: Schedulers) -> None:
    """After `throttled` nobody is granted until then, in no process; then at once."""
    one, other = schedulers(5), schedulers(5)
    async with one, other:
        async with one.acquire("a") as lease:
            await lease.throttled(retry_after=0.5)
        began = time.monotonic()
        async with other.acquire("b"):
            assert 0.45 < time.monotonic() - began < 1.0
        assert (await one.snapshot()).paused_for == 0.0


async def test_waiter_from_before_is_woken(schedulers: Schedulers) -> None:
    """One who waited for a slot is granted when the hold ends, though nobody calls meanwhile."""
    async with schedulers(1, lease_ttl=30.0) as one, schedulers(1, lease_ttl=30.0) as other:
        async with one.acquire("a") as lease:
            waiting = asyncio.create_task(other.acquire_start("b", nested="allow"))
            await eventually(schedulers.waiting)
            await lease.throttled(0.4)
        began = time.monotonic()
        handle = await waiting
        assert time.monotonic() - began < 1.0  # heartbeats come every 10 seconds here
        await other.release_handle(handle)


async def test_capacity_adapts(schedulers: Schedulers) -> None:
    """Throttled work halves what may be held, once for all who were out; good work restores it."""
    async with schedulers(8, adaptive_capacity=True) as scheduler:
        handles = [await scheduler.acquire_start("a") for _ in range(8)]
        for handle in handles[:3]:
            await handle.lease.throttled(0.0)
        assert (await scheduler.snapshot()).effective_capacity == 4
        for handle in handles:
            await scheduler.release_handle(handle)
        for _ in range(200):
            async with scheduler.acquire("a"):
                pass
        assert (await scheduler.snapshot()).effective_capacity == 8


def test_capacity_never_falls_below_one(server: Server) -> None:
    """However often it is too much, one may hold a slot."""
    pair = Lockstep(server.client)
    pair.do(ops.Open("a", 0, "h|1", capacity=3, adaptive=1))
    for sequence in range(1, 9, 2):
        grant = pair.do(ops.Acquire("a", 1, 0, sequence, b"x", 1000)).grants[-1]
        reply = pair.do(ops.Throttle("a", 1, 0, sequence + 1, grant.token, 0))
        pair.do(ops.Release("a", 1, 0, sequence, grant.token))
    assert reply.limit == 1
    assert pair.do(ops.Acquire("a", 1, 0, 99, b"x", 1000)).status is Status.GRANTED
    pair.close()


@pytest.mark.parametrize("value", [-1.0, float("nan"), 1e9, "soon"])
async def test_odd_hold_is_refused(schedulers: Schedulers, value: object) -> None:
    """A hold that is no number of seconds is a ValueError that names it."""
    async with schedulers() as scheduler, scheduler.acquire("a") as lease:
        with pytest.raises(ValueError, match="retry_after"):
            await lease.throttled(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [{"rpm": -1}, {"rpm": 1.5}, {"rpm_burst": 5}, {"tpm": True}, {"rpm": 5, "rpm_burst": 0}],
)
def test_odd_rate_is_refused(options: dict[str, object]) -> None:
    """A rate that is no whole number, or a burst without one, is a ValueError that names it."""
    with pytest.raises(ValueError, match="rpm|tpm"):
        SharedResource(NAME, 1, **options)  # type: ignore[arg-type]


async def test_rate_can_be_changed(schedulers: Schedulers) -> None:
    """`reconfigure` sets a rate for everybody and takes it away again."""
    async with schedulers(5) as scheduler:
        await scheduler.reconfigure(rpm=1)
        async with scheduler.acquire("a", timeout=0):
            pass
        with pytest.raises(AcquireTimeoutError):
            async with scheduler.acquire("a", timeout=0.1):
                pass
        await scheduler.reconfigure(rpm=0)
        async with scheduler.acquire("a", timeout=0):
            pass
