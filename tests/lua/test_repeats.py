"""What comes late, twice or out of order, on the model and the scripts side by side."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loco_redis._replies import Status
from loco_redis.testing import ops
from tests.lua.lockstep import Lockstep
from tests.servers import Server

LEASE = 10_000_000
PART = 4_000_000  # of a lease: three of them outlast it


@pytest.fixture
def pair(server: Server) -> Iterator[Lockstep]:
    """Two sessions, `a` and `b`, and one slot."""
    pair = Lockstep(server.client)
    pair.do(ops.Open("a", 0, "h|1", capacity=1, lease=LEASE))
    pair.do(ops.Open("b", 0, "h|2"))
    yield pair
    pair.close()


def acquire(pair: Lockstep, session: str, sequence: int, floor: int = 1) -> Status:
    status: Status = pair.do(ops.Acquire(session, floor, 0, sequence, b"x", 1000)).status
    return status


def holders(pair: Lockstep) -> list[tuple[str, int]]:
    """Session and token of each lease."""
    return [(request.session, lease.token) for request, lease in pair.state.holders()]


def test_acquire_after_its_cancel_is_finished(pair: Lockstep) -> None:
    """A cancel that overtakes its acquire leaves a tombstone, and nothing is granted to nobody."""
    assert pair.do(ops.Cancel("a", 1, 0, 1)).status is Status.FINISHED
    assert acquire(pair, "a", 1) is Status.FINISHED
    assert holders(pair) == []


def test_acquire_below_the_floor_is_finished(pair: Lockstep) -> None:
    """A duplicate that comes after its tombstone has gone is refused by its number."""
    assert acquire(pair, "a", 1) is Status.GRANTED
    pair.do(ops.Release("a", 1, 0, 1, holders(pair)[0][1]))
    pair.do(ops.Heartbeat("a", 2, 0))
    assert not pair.state.tombstones
    assert acquire(pair, "a", 1) is Status.FINISHED
    assert holders(pair) == []


def test_release_with_another_token_changes_nothing(pair: Lockstep) -> None:
    """Only the token of the lease ends it."""
    acquire(pair, "a", 1)
    (holder,) = holders(pair)
    for stale in (holder[1] - 1, holder[1] + 1):
        assert pair.do(ops.Release("a", 1, 0, 1, stale)).status is Status.FINISHED
    assert holders(pair) == [holder]


def test_a_grant_given_back_is_no_work_done(pair: Lockstep) -> None:
    """A cancel that finds its request granted frees the slot, and nobody ages by it."""
    acquire(pair, "a", 1)
    acquire(pair, "b", 1)
    assert pair.do(ops.Cancel("a", 1, 0, 1)).status is Status.OK
    assert [session for session, _ in holders(pair)] == ["b"]
    assert pair.before.number("tick") == pair.before.number("released") == 0


def test_tokens_rise_on_an_emptied_server(pair: Lockstep) -> None:
    """A token is no less than the time: what was given before is below it, whoever has seen it."""
    acquire(pair, "a", 1)
    (before,) = holders(pair)
    pair.flush_all()
    pair.now += 1
    pair.do(ops.Open("b", 0, "h|2", capacity=1))
    acquire(pair, "b", 1)
    assert holders(pair)[0][1] > before[1]


def test_tokens_rise_above_what_was_seen(pair: Lockstep) -> None:
    """Whatever the clock says, a token that a client has seen is not given again."""
    known = pair.now + 3_600_000_000
    pair.do(ops.Heartbeat("a", 1, known))
    acquire(pair, "b", 1)
    assert holders(pair)[0][1] > known


def test_heartbeat_of_a_reaped_session_is_told_so(pair: Lockstep) -> None:
    """It is not made again: what it held may be somebody else's."""
    acquire(pair, "a", 1)
    acquire(pair, "b", 1)
    for _ in range(3):
        pair.now += PART
        pair.do(ops.Heartbeat("b", 1, 0))
    assert [session for session, _ in holders(pair)] == ["b"]
    assert pair.do(ops.Heartbeat("a", 1, 0)).status is Status.EXPIRED
    assert set(pair.state.sessions) == {"b"}


@pytest.mark.parametrize("gap", [LEASE // 2 + 1, 3 * LEASE, -3_600_000_000, 3_600_000_000])
def test_nobody_expires_by_an_outage(pair: Lockstep, gap: int) -> None:
    """A gap without any script, or a step of the clock, is no time that a lease runs down in."""
    acquire(pair, "a", 1)
    pair.now += gap
    pair.do(ops.Heartbeat("b", 1, 0))
    assert pair.do(ops.Heartbeat("a", 1, 0)).status is Status.OK
    assert [session for session, _ in holders(pair)] == ["a"]


def test_newcomer_does_not_pass_who_waits_for_the_rate(server: Server) -> None:
    """When the rate allows a grant again, it is for the one who has waited for that."""
    pair = Lockstep(server.client)
    pair.do(ops.Open("a", 0, "h|1", capacity=3, rpm=60, rpm_burst=1))
    assert [acquire(pair, "a", n) for n in (1, 2)] == [Status.GRANTED, Status.QUEUED]
    pair.now += 1_000_000
    reply = pair.do(ops.Acquire("a", 1, 0, 3, b"y", 1000))
    assert reply.status is Status.QUEUED
    assert [grant.sequence for grant in reply.grants] == [2]
    pair.close()


def test_an_agents_requests_are_served_in_order(pair: Lockstep) -> None:
    """The first to come is the first to be served."""
    for sequence in range(1, 5):
        acquire(pair, "a", sequence)
    served = []
    for _ in range(4):
        ((request, lease),) = pair.state.holders()
        served.append(int(request.rid[-1]))
        pair.do(ops.Release("a", 1, 0, served[-1], lease.token))
    assert served == [1, 2, 3, 4]
