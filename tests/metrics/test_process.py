"""What a process measures of its own calls."""

from __future__ import annotations

import asyncio
import gc
import os

import pytest

from loco_redis._scripts import Scripts
from loco_redis.metrics.process import BOUNDS, Latencies, figures_here, process_figures
from tests.proxy import proxied
from tests.schedulers import NAME, Schedulers
from tests.servers import Server
from tests.waiting import eventually


def test_a_latency_counts_in_the_bucket_that_it_does_not_exceed() -> None:
    """Bounds belong to their bucket, as in Prometheus; the last bucket has none."""
    found = Latencies()
    for seconds in (0.0, BOUNDS[0], BOUNDS[0] + 1e-9, BOUNDS[-1], BOUNDS[-1] + 1):
        found.add(seconds)
    assert found.counts[:2] == [2, 1]
    assert found.counts[-2:] == [1, 1]
    assert found.total == pytest.approx(BOUNDS[0] * 2 + BOUNDS[-1] * 2 + 1, abs=1e-6)


async def test_scripts_and_grants_are_timed(schedulers: Schedulers) -> None:
    """One latency a call, one hand-off a grant; here neither takes a second."""
    async with schedulers() as scheduler:
        for _ in range(3):
            async with scheduler.acquire("a"):
                pass
        figures = process_figures()[NAME]
        assert sum(figures.scripts["acquire"].counts) == 3
        assert sum(figures.scripts["release"].counts) == 3
        assert sum(figures.scripts["open"].counts) == 1
        assert sum(figures.handoff.counts) == 3
        assert 0 < figures.handoff.total < 1
        assert (figures.retries, figures.lost_hints) == ({}, 0)


async def test_a_hint_that_comes_is_not_lost(schedulers: Schedulers) -> None:
    """A waiter of another scheduler is told by its hint; that hand-off is measured, too."""
    async with schedulers() as one, schedulers(None) as two:
        handle = await one.acquire_start("a")
        waiting = asyncio.create_task(two.acquire_start("b"))
        await eventually(lambda: schedulers.waiting() == 1)
        await one.release_handle(handle)
        await two.release_handle(await waiting)
        figures = process_figures()[NAME]
        assert sum(figures.handoff.counts) == 2
        assert figures.lost_hints == 0


async def test_lost_hints_and_retries_are_counted(schedulers: Schedulers, server: Server) -> None:
    """A grant whose hint was swallowed is found by polling; a command whose reply was lost is sent
    again."""
    async with proxied(server) as proxy:
        one, two = schedulers(), schedulers(None, redis=proxy.url)
        async with one, two:
            handle = await one.acquire_start("a")
            waiting = asyncio.create_task(two.acquire_start("b"))
            await eventually(lambda: schedulers.waiting() == 1)
            proxy.mute = b"SUBSCRIBE"
            proxy.cut()
            await one.release_handle(handle)
            proxy.lose_reply_of(Scripts(NAME).sha("release"))
            await two.release_handle(await waiting)
            figures = process_figures()[NAME]
            assert figures.lost_hints == 1
            assert figures.retries["release"] == 1
            assert proxy.lost == 1


def test_figures_live_as_long_as_somebody_counts() -> None:
    """Two in one thread count together; when both are gone so are the figures."""
    one, two = figures_here("passing"), figures_here("passing")
    assert one is two
    one.lost_hints += 1
    assert process_figures()["passing"].lost_hints == 1
    del one, two
    gc.collect()
    assert "passing" not in process_figures()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_measured_nothing() -> None:
    """Its parent's figures are its parent's."""
    mine = figures_here("forking")
    mine.lost_hints += 1
    child = os.fork()
    if child == 0:
        os._exit(len(process_figures()))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
