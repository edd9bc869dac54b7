"""Replies that break off by a reset: what they were to answer is found out."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from tests.faults.conftest import Seen
from tests.faults.crowd import Crowd
from tests.faults.passages import Passages, name_of
from tests.proxy import proxied
from tests.schedulers import Schedulers
from tests.waiting import eventually


@pytest.mark.parametrize(
    ("script", "step"),
    [
        *(("acquire", 1), ("release", 1), ("submit", 1), ("settle", 1), ("HGET", 1), ("open", 2)),
        *(("heartbeat", 1), ("durable", 5), ("handed_on", 5), ("poll", 5), ("several", 9)),
    ],
)
async def test_reset_inside_a_reply_after_each_byte(
    schedulers: Schedulers, seen: Seen, script: str, step: int
) -> None:
    """Wherever a reply breaks off, what it was to answer is carried out once, and answered."""
    async with proxied(schedulers.server, tcp=True) as proxy:
        async with schedulers(redis=proxy.url, lease_ttl=30.0) as scheduler:
            passages = Passages(schedulers, scheduler)
            await passages.of(script)
            for resets, kept in enumerate(itertools.count(step=step), 1):
                proxy.spoil_reply_of(
                    name_of(script), lambda reply, kept=kept: reply[:kept], "reset"
                )
                await passages.of(script)
                assert len(proxy.spoiled) == resets
                if kept >= len(proxy.spoiled[-1]):
                    break
            snapshot = await scheduler.snapshot()
            assert snapshot.granted == snapshot.released + snapshot.reclaimed
            assert snapshot.reclaimed == 0
    seen(
        f"{resets} resets, after each {_nth(step)}byte of a reply to {script}",
        f"{resets} outcomes found out; longest passage {passages.longest:.2f} s",
    )


async def test_reset_inside_a_reply_while_opening(schedulers: Schedulers, seen: Seen) -> None:
    """Of the handshake, of the first questions, of SUBSCRIBE and `open`: it opens all the same."""
    resets = 0
    async with proxied(schedulers.server, tcp=True) as proxy:
        for text in ("HELLO", "\nINFO", "EXISTS", "SUBSCRIBE", name_of("open")):
            for kept in (0, 1, 20, 10_000):
                proxy.spoil_reply_of(text, lambda reply, kept=kept: reply[:kept], "reset")
                async with schedulers(redis=proxy.url, lease_ttl=30.0) as scheduler:
                    async with scheduler.acquire("a"):
                        assert len((await scheduler.snapshot()).sessions) == 1
                resets += 1
                assert len(proxy.spoiled) == resets
    seen(f"{resets} resets while a scheduler was opened", f"{resets} opened, one session each")


async def test_reset_inside_a_reply_of_a_hint(schedulers: Schedulers, seen: Seen) -> None:
    """A subscription reset at any byte of a hint is made again, and the grant found at once."""
    longest = 0.0
    async with proxied(schedulers.server, tcp=True) as proxy:
        async with schedulers(lease_ttl=30.0) as holder:
            async with schedulers(redis=proxy.url, lease_ttl=None) as waiting:
                for kept in itertools.count(step=3):
                    handle = await holder.acquire_start("h")
                    waiter = asyncio.create_task(waiting.acquire_start("w"))
                    await eventually(lambda: schedulers.waiting() == 1)
                    proxy.spoil_hint(lambda hint, kept=kept: hint[:kept], "reset")
                    began = asyncio.get_running_loop().time()
                    await holder.release_handle(handle)
                    await waiting.release_handle(await waiter)
                    longest = max(longest, asyncio.get_running_loop().time() - began)
                    if kept >= len(proxy.spoiled[-1]):
                        break
    assert longest < 2.0  # a heartbeat would take 7.5 s
    resets = len(proxy.spoiled)
    seen(f"{resets} resets, after each {_nth(3)}byte of a hint", f"longest wait {longest:.2f} s")


def _nth(step: int) -> str:
    return {1: "", 2: "2nd ", 3: "3rd "}.get(step, f"{step}th ")


async def test_reset_inside_a_reply_under_load(schedulers: Schedulers, seen: Seen) -> None:
    """Whatever is under way, and shares scripts: nothing is lost and nothing doubled."""
    async with proxied(schedulers.server, tcp=True) as proxy:

        async def reset() -> None:
            for round_ in range(45):
                proxy.spoil_reply_of(
                    "EVALSHA", lambda reply, kept=2 * round_: reply[:kept], "reset"
                )
                done = len(crowd.tokens)
                await eventually(lambda done=done: len(crowd.tokens) > done + 5)

        options = {"redis": proxy.url, "lease_ttl": 1.0}
        async with schedulers(3, **options) as one, schedulers(3, **options) as other:
            crowd = Crowd(3, one, other)
            await crowd.under(asyncio.create_task(reset()))
            snapshot = await one.snapshot()
            assert snapshot.granted == snapshot.released == len(crowd.tokens)
            assert snapshot.reclaimed == 0
    seen(f"{len(proxy.spoiled)} resets in replies to 6 callers of 2 sessions", str(crowd))


async def test_reset_inside_a_reply_of_each_call(schedulers: Schedulers, seen: Seen) -> None:
    """Each is carried out once although its reply is lost, and it is sent again, twice."""
    async with proxied(schedulers.server) as proxy:
        async with schedulers(redis=proxy.url) as scheduler:
            for verb in ("submit", "acquire", "settle", "release", "reconfigure", "cancel_task"):
                proxy.lose_reply_of(name_of(verb), times=2)
            task_id = await scheduler.submit_task("durable")
            assert list(schedulers.dump().tasks) == [task_id.encode()]
            async with scheduler.acquire("a", weight=3.0) as lease:
                await lease.settle(2.0)
            assert await scheduler.reconfigure(capacity=2) == 2
            await scheduler.cancel_task(task_id)
            snapshot = await scheduler.snapshot()
            assert (snapshot.granted, snapshot.released, snapshot.tick) == (1, 1, 1)
            assert await scheduler.metrics.cost_by_agent() == {"a": 2.0}
            assert proxy.lost == 12
    seen(f"{proxy.lost} replies to 6 calls lost, two of each", "each carried out once")


async def test_reset_inside_a_reply_whatever_is_on_its_way(
    schedulers: Schedulers, seen: Seen
) -> None:
    """Every connection cut again and again, at any moment: each body runs once."""
    async with proxied(schedulers.server) as proxy:

        async def cut() -> None:
            for _ in range(20):
                await asyncio.sleep(0.01)
                proxy.cut()

        async with schedulers(capacity=3, redis=proxy.url) as scheduler:
            crowd = Crowd(3, scheduler)
            await crowd.under(asyncio.create_task(cut()), callers=10)
            snapshot = await scheduler.snapshot()
    assert snapshot.released == snapshot.granted == len(crowd.tokens)
    seen("every connection cut 20 times, 10 ms apart, under 10 callers", str(crowd))


async def test_reset_inside_a_reply_of_the_heartbeat(schedulers: Schedulers, seen: Seen) -> None:
    """Connections that break all the time do not cost the lease."""
    async with proxied(schedulers.server, tcp=True) as proxy:
        async with schedulers(redis=proxy.url, lease_ttl=0.8) as scheduler:
            async with scheduler.acquire("a") as lease:
                ledger = lease._ledger
                for kept in range(0, 40, 16):
                    for more in (0, 4):
                        proxy.spoil_reply_of(
                            name_of("heartbeat"),
                            lambda reply, end=kept + more: reply[:end],
                            "reset",
                        )
                    await eventually(lambda: not proxy.awaited)
                    deadline = ledger.deadline
                    await eventually(lambda deadline=deadline: ledger.deadline > deadline)
                    assert not any([lease.lost, lease.uncertain])
            assert (await scheduler.snapshot()).reclaimed == 0
    seen(
        f"{len(proxy.spoiled)} beats of a lease of 0.8 s reset, two of each three",
        "never lost, never uncertain",
    )
