"""How much there may be at most: the scripts say so, whatever a client believes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from loco_redis import ResourceFullError, Task
from loco_redis._limits import LIMITS
from loco_redis._replies import Refusal, Status
from loco_redis.testing import ops
from tests.lua.lockstep import Lockstep
from tests.schedulers import Schedulers, schedulers
from tests.servers import Server

__all__ = ["schedulers"]

LEASE = 10_000_000
SMALL = LIMITS._replace(waiters=2, tasks=2, sessions=2, agents=2, depth=10_000, ahead=5)
SMALL = SMALL._replace(orders=3, text=10)


@pytest.fixture
def pair(server: Server) -> Iterator[Lockstep]:
    """Two sessions, `a` and `b`, one slot, and limits that are soon reached."""
    pair = Lockstep(server.client, limits=SMALL)
    pair.do(ops.Open("a", 0, "h|1", capacity=1, lease=LEASE))
    pair.do(ops.Open("b", 0, "h|2"))
    yield pair
    pair.close()


def _acquire(pair: Lockstep, sequence: int, weight: int = 1000, agent: bytes = b"x") -> Status:
    status: Status = pair.do(ops.Acquire("a", sequence, 0, sequence, agent, weight)).status
    return status


def test_waiters_have_a_limit_without_max_waiters(pair: Lockstep) -> None:
    """Backpressure comes at the limit of all resources; a max_waiters above it changes nothing."""
    assert [_acquire(pair, n) for n in (1, 2, 3)] == [Status.GRANTED, Status.QUEUED, Status.QUEUED]
    assert _acquire(pair, 4) is Status.BACKPRESSURE
    pair.do(ops.Reconfigure("a", 5, 0, 5, 0, None, None, 7))
    assert _acquire(pair, 6) is Status.BACKPRESSURE
    pair.do(ops.Cancel("a", 7, 0, 2))
    assert _acquire(pair, 8) is Status.QUEUED


def test_sessions(pair: Lockstep) -> None:
    """One more is not opened; who is there may open again, and whose place is free may come."""
    before = pair.dump()
    reply = pair.do(ops.Open("c", 0))
    assert (reply.status, reply.field, reply.stored) == (Status.REFUSED, "sessions", "2")
    assert pair.dump() == before
    assert pair.do(ops.Open("b", 0)).status is Status.OK
    pair.do(ops.Close("b", 0))
    assert pair.do(ops.Open("c", 0)).status is Status.OK


def test_durable_tasks(pair: Lockstep) -> None:
    """One more is refused, and counted as such; a repeat of one that is there is none."""
    for sequence in (1, 2, 3, 2):
        reply = pair.do(ops.Submit("a", 1, 0, sequence, b"x", 1000))
        assert (reply.status is Status.REFUSED) == (sequence == 3)
    full = pair.do(ops.Submit("b", 1, 0, 1, b"y", 1000))
    assert full.refusal == Refusal("full", ("tasks", "2"))
    assert pair.state.tallies[b"f"][b"full"] == 2


def test_orders(pair: Lockstep) -> None:
    """Of what is said of tasks, and their results: one more is refused, a task about which nothing
    is said is not; a key that is known needs no room."""
    pair.do(ops.Submit("a", 1, 0, 1, b"x", 1000, order=b"||9|k"))
    assert pair.do(ops.Result("a", 1, 0, "a:000000000001")).status is Status.QUEUED
    full = pair.do(ops.Submit("a", 1, 0, 2, b"x", 1000, order=b"||9|"))
    assert full.refusal == Refusal("full", ("orders", "3"))
    again = pair.do(ops.Submit("a", 1, 0, 3, b"x", 1000, order=b"||9|k"))
    assert (again.status, again.task_id) == (Status.OK, "a:000000000001")
    assert pair.do(ops.Submit("a", 1, 0, 4, b"x", 1000)).status is Status.OK


def test_sessions_that_wait_for_a_result(server: Server) -> None:
    """One more is told to ask again by itself; who waits already may ask as often as it likes."""
    pair = Lockstep(server.client, limits=SMALL)
    names = ("a", "a234567890")
    pair.do(ops.Open("a", 0, "h|1", capacity=1, lease=LEASE))
    pair.do(ops.Open(names[1], 0, "h|2"))
    pair.do(ops.Submit("a", 1, 0, 1, b"x", 1000, order=b"||9|"))
    for name in (names[1], names[1]):
        assert pair.do(ops.Result(name, 1, 0, "a:000000000001")).status is Status.QUEUED
    assert pair.do(ops.Result("a", 1, 0, "a:000000000001")).status is Status.BACKPRESSURE
    pair.close()


def test_agents(pair: Lockstep) -> None:
    """One more is not registered; who is registered may change its type."""
    for sequence, name in enumerate((b"x", b"y"), start=1):
        assert pair.do(ops.Register("a", 1, 0, sequence, name, "")).status is Status.OK
    full = pair.do(ops.Register("a", 1, 0, 3, b"z", ""))
    assert full.refusal == Refusal("full", ("agents", "2"))
    assert pair.do(ops.Register("a", 1, 0, 4, b"x", "batch")).status is Status.OK


def test_weight_of_an_agents_queue(pair: Lockstep) -> None:
    """Its sum stays a number that Redis counts exactly; other agents are not concerned."""
    assert _acquire(pair, 1) is Status.GRANTED
    assert _acquire(pair, 2, 9500) is Status.QUEUED
    assert _acquire(pair, 3, 1000) is Status.REFUSED
    assert pair.do(ops.Submit("a", 4, 0, 4, b"x", 1000)).status is Status.REFUSED
    assert _acquire(pair, 5, 1000, b"y") is Status.QUEUED


async def test_the_error_of_a_client(schedulers: Schedulers) -> None:
    """It is typed, and names what there is too much of; the agent's queue is as deep as before."""
    async with schedulers(1) as scheduler:
        handle = await scheduler.acquire_start("a")
        heaviest = Task(weight=1e9)
        ids = [await scheduler.submit_task("a", heaviest) for _ in range(8_000)]
        with pytest.raises(ResourceFullError, match="no more weight queued than 8000000000000"):
            await scheduler.submit_task("a", heaviest)
        for start in range(0, len(ids), 500):
            some = ids[start : start + 500]
            await asyncio.gather(*(scheduler.cancel_task(task_id) for task_id in some))
        await scheduler.release_handle(handle)
