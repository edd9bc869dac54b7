"""Alpha that tunes itself."""

from __future__ import annotations

import pytest

from loco_redis.testing import ops
from tests.lua.lockstep import Lockstep
from tests.schedulers import Schedulers
from tests.servers import Server


def tuned(server: Server) -> Lockstep:
    pair = Lockstep(server.client)
    pair.do(ops.Open("a", 0, "h|1", capacity=1, alpha=0.25, auto_tune=1))
    pair.do(ops.Acquire("a", 1, 0, 1, b"first", 1000))
    return pair


def turn(pair: Lockstep) -> None:
    ((request, lease),) = pair.state.holders()
    pair.do(ops.Release("a", 1, 0, int(request.rid[2:]), lease.token))


def test_differing_waits_lower_alpha(server: Server) -> None:
    """Where some wait long and others short, age counts more: down by 0.01, not below 0."""
    pair = tuned(server)
    for number in range(2, 60):
        pair.do(ops.Acquire("a", 1, 0, number, b"agent%d" % number, 1000 * number))
        if number % 2:
            turn(pair)
    assert pair.state.alpha < 0.25
    assert {entry.split(":")[2] for entry in pair.state.tunings[-10:]} == {"waits differ;"}
    pair.close()


def test_growing_queues_raise_alpha(server: Server) -> None:
    """Where all wait alike and the queue grows, depth counts more: up by 0.01, to 0.5 at most."""
    pair = tuned(server)
    sequence = 1
    for _ in range(40):
        for _ in range(3):
            sequence += 1
            pair.do(ops.Acquire("a", 1, 0, sequence, b"one", 1000))
        turn(pair)
    assert pair.state.alpha == pytest.approx(0.5)
    assert len(pair.state.tunings) == 20
    pair.close()


async def test_adjustments_can_be_read(schedulers: Schedulers) -> None:
    """Each adjustment has its tick, the new alpha and why; snapshots show the alpha in force."""
    async with schedulers(1, auto_tune=True, alpha=0.25) as scheduler:
        holder = await scheduler.acquire_start("first")
        for _ in range(5):
            await scheduler.submit_task("queue")
        await scheduler.release_handle(holder)
        (adjustment,) = await scheduler.metrics.alpha_adjustments()
        assert (adjustment.tick, adjustment.reason) == (1, "queues grow")
        assert adjustment.alpha == pytest.approx(0.26)
        assert (await scheduler.snapshot()).alpha == adjustment.alpha
        for _ in range(5):
            async with scheduler.acquire("queue"):
                pass
        await scheduler.reconfigure(auto_tune=False)
        assert (await scheduler.snapshot()).alpha == 0.25
