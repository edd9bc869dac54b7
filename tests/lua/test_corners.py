"""Corners that random sequences seldom reach, on the model and the scripts side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from loco_redis._replies import Status
from loco_redis.testing import ops
from loco_redis.testing.model_state import Terms
from tests.lua.lockstep import Lockstep
from tests.servers import Server

LEASE = 10_000_000
PART = 4_000_000  # of a lease: three of them outlast it


@pytest.fixture
def pair(server: Server) -> Iterator[Lockstep]:
    """Two sessions, `a` and `b`, and two slots."""
    pair = Lockstep(server.client)
    pair.do(ops.Open("a", 0, "h|1", capacity=2, lease=LEASE))
    pair.do(ops.Open("b", 0, "h|2"))
    yield pair
    pair.close()


def acquire(pair: Lockstep, session: str, sequences: range, agent: bytes = b"x") -> None:
    for sequence in sequences:
        pair.do(ops.Acquire(session, 1, 0, sequence, agent, 1000 + sequence))


def outlive(pair: Lockstep, survivor: str) -> None:
    """The survivor beats twice, and stands just before the deadline of everybody else."""
    for _ in range(2):
        pair.now += PART
        pair.do(ops.Heartbeat(survivor, 1, 0))
    pair.now += PART


@pytest.mark.parametrize("requests", [98, 99, 100, 101, 250])
def test_reaping_takes_100_units_a_script(pair: Lockstep, requests: int) -> None:
    """A large session goes in parts, one unit a request and one for itself, until all is gone."""
    acquire(pair, "a", range(1, requests + 1))
    outlive(pair, "b")
    reaped, is_left = 0, True
    while is_left:
        reply = pair.do(ops.Reap())
        assert reply.reaped <= 100
        reaped, is_left = reaped + reply.reaped, reply.more
    assert reaped == requests + 1
    assert set(pair.state.sessions) == {"b"}


def test_expired_session_is_refused_though_its_reaping_is_not_done(pair: Lockstep) -> None:
    """A session past its deadline does nothing more, also while part of it is still there."""
    acquire(pair, "a", range(1, 151))
    outlive(pair, "b")
    for late in (ops.Heartbeat("a", 1, 0), ops.Acquire("a", 1, 0, 151, b"x", 1000)):
        assert pair.do(late).status is Status.EXPIRED
    assert "a" not in pair.state.sessions


def test_closing_takes_1000_units_a_script(pair: Lockstep) -> None:
    """A session with more than 1,000 requests is closed by calling again."""
    compare, pair.compare = pair.compare, lambda: None  # type: ignore[method-assign]
    acquire(pair, "a", range(1, 1101))
    pair.compare = compare  # type: ignore[method-assign]
    acquire(pair, "b", range(1, 2))
    assert pair.do(ops.Close("a", 0)).more
    assert not pair.do(ops.Close("a", 0)).more
    assert pair.do(ops.Close("a", 0)).status is Status.FINISHED
    assert [request.session for request, _ in pair.state.holders()] == ["b"]


def test_slot_above_a_lowered_capacity_is_not_given_again(pair: Lockstep) -> None:
    """What is freed above the capacity stays free; the next lease gets a slot below it."""
    pair.do(ops.Reconfigure("b", 1, 0, 1, capacity=4))
    acquire(pair, "a", range(1, 5))
    acquire(pair, "b", range(2, 3))
    pair.do(ops.Reconfigure("b", 1, 0, 3, capacity=1))
    pair.do(ops.Close("a", 0))
    assert [lease.slot for _, lease in pair.state.holders()] == [0]


def test_repeated_submit_after_reopening_makes_no_second_task(pair: Lockstep) -> None:
    """The task itself tells that it was submitted, when the tombstone went with the session."""
    submit = ops.Submit("a", 1, 0, 1, b"x", 1000)
    pair.do(submit)
    pair.do(ops.Close("a", 0))
    pair.do(ops.Open("a", 0, "h|1"))
    pair.do(submit)
    assert len(pair.state.tasks) == 1


def test_age_is_not_negative_after_a_step_back_of_the_clock(pair: Lockstep) -> None:
    """A holder granted in the future of the server's clock has age 0."""
    acquire(pair, "a", range(1, 2))
    pair.now -= 3_600_000_000
    snapshot = pair.do(ops.Snapshot(limit=10)).snapshot
    assert [holder.age for holder in snapshot.holders] == [0.0]


CALLS: list[Callable[[], ops.Op]] = [
    lambda: ops.Heartbeat("b", 1, 0),
    lambda: ops.Submit("b", 1, 0, 9, b"y", 1000),
    lambda: ops.Register("b", 1, 0, 9, b"y"),
    lambda: ops.Unregister("b", 1, 0, 9, b"nobody"),
    lambda: ops.Open("b", 0, "h|2"),
    lambda: ops.Settle("b", 9, 1, 0),
    lambda: ops.Cancel("b", 1, 0, 9),
    lambda: ops.Release("b", 1, 0, 9, 1),
    lambda: ops.Acquire("b", 1, 0, 9, b"y", 1000),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call().verb)
def test_grant_by_reaping_is_told_to_the_caller(pair: Lockstep, call: Callable[[], ops.Op]) -> None:
    """A call that reaps a dead holder tells its own session's grant, in the reply or by a hint."""
    acquire(pair, "a", range(1, 3))
    acquire(pair, "b", range(1, 2))
    outlive(pair, "b")
    pair.do(call())
    assert "b" in {request.session for request, _ in pair.state.holders()}


def test_costs_beyond_10000_agents_share_an_entry(pair: Lockstep) -> None:
    """New agents are charged under `__other__` once 10,000 have a cost of their own."""
    for number in range(10_000):
        pair.state.costs[b"agent%d" % number] = 1
    key = pair.scripts.keys.costs
    pair.client.hset(key, mapping=dict.fromkeys(pair.state.costs, 1))
    for sequence in (1, 2):
        token = pair.do(ops.Acquire("a", 1, 0, sequence, b"new", 1500)).grants[0].token
        pair.do(ops.Settle("a", sequence, token, 700))
        pair.do(ops.Settle("a", sequence, token, 400))
        pair.do(ops.Release("a", 1, 0, sequence, token))
    assert pair.state.costs[b"__other__"] == 800
    assert b"new" not in pair.state.costs


def test_unsettled_leases_beyond_10000_drop_the_oldest(pair: Lockstep) -> None:
    """The lease that nobody settled for longest is forgotten."""
    for token in range(1, 10_001):
        pair.state.unsettled[token] = (Terms(1000, 0), b"x")
    key = pair.scripts.keys.all[20]
    pair.client.zadd(key, {b"%016d|1000||x" % token: 0 for token in pair.state.unsettled})
    acquire(pair, "a", range(1, 3))
    pair.do(ops.Close("a", 0))
    assert pair.do(ops.Settle("b", 1, 1, 10)).status is Status.FINISHED
    assert pair.do(ops.Settle("b", 1, 3, 10)).status is Status.LATE


def test_figures_beyond_10000_values_share_one(pair: Lockstep) -> None:
    """A dimension keeps 10,000 values; what comes then is counted as `__other__`."""
    names = {b"team%05d" % number: 1 for number in range(10_000)}
    pair.state.tallies[b"t"] = dict(names)
    fields = {b"t\0" + name: 1 for name in names} | {b"#t": len(names)}
    pair.client.hset("loco:{lockstep}:tallies", mapping=fields)  # type: ignore[arg-type]
    acquire(pair, "a", range(1, 3))
    for sequence, team in ((1, b"new"), (2, b"team00007")):
        lease = next(held for row, held in pair.state.holders() if row.rid == f"a:{sequence:012d}")
        labels = b"\x1f%b\x1f\x1f" % team
        pair.do(ops.Release("a", 1, 0, sequence, lease.token, True, "0000", labels))
    assert pair.state.tallies[b"t"][b"__other__"] == 1001
    assert pair.state.tallies[b"t"][b"team00007"] == 1003
