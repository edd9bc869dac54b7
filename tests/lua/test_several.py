"""Acquires and releases in one script, on the model and the scripts side by side."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from loco_redis._replies import Status
from loco_redis.testing import ops
from tests.lua.lockstep import Bench, Lockstep
from tests.servers import Server

LEASE = 10_000_000


@pytest.fixture
def pair(any_server: Server) -> Iterator[Lockstep]:
    """Two sessions, `a` and `b`, and two slots."""
    pair = Lockstep(any_server.client)
    pair.do(ops.Open("a", 0, "h|1", capacity=2, lease=LEASE))
    pair.do(ops.Open("b", 0, "h|2"))
    yield pair
    pair.close()


def acquire(sequence: int, session: str = "a", agent: bytes = b"x") -> ops.Acquire:
    return ops.Acquire(session, 1, 0, sequence, agent, 1000)


def release(sequence: int, token: int, session: str = "a") -> ops.Release:
    return ops.Release(session, 1, 0, sequence, token)


def statuses(replies: list[ops.Op]) -> list[Status]:
    return [reply.status for reply in replies]  # type: ignore[attr-defined]


def test_each_step_has_its_reply(pair: Lockstep) -> None:
    """Serials, ticks and grants are those of scripts that came one after the other."""
    first = pair.do(ops.Several((acquire(1), acquire(2), acquire(3), acquire(4, agent=b"y"))))
    assert statuses(first) == [Status.GRANTED] * 2 + [Status.QUEUED] * 2
    tokens = [reply.grants[0].token for reply in first[:2]]
    then = pair.do(ops.Several((release(1, tokens[0]), acquire(5), release(2, tokens[1]))))
    assert statuses(then) == [Status.OK, Status.QUEUED, Status.OK]
    assert [reply.tick for reply in then] == [1, 1, 2]
    assert [grant.sequence for reply in then for grant in reply.grants] == [3, 4]
    assert then[2].serial == first[0].serial + 6


def test_a_step_that_came_before_changes_nothing(pair: Lockstep) -> None:
    """The reply was lost, and the steps come again, alone or in another company."""
    token = pair.do(ops.Several((acquire(1), acquire(2))))[0].grants[0].token
    steps = (release(1, token), acquire(3), acquire(4))
    pair.do(ops.Several(steps))
    again = pair.do(ops.Several((acquire(2), *steps)))
    assert statuses(again) == [Status.GRANTED, Status.FINISHED, Status.GRANTED, Status.QUEUED]
    assert pair.do(steps[0]).status is Status.FINISHED


def test_slots_are_given_as_if_one_by_one(pair: Lockstep) -> None:
    """A slot that a step frees and nobody waits for is the lowest free one of the next."""
    granted = pair.do(ops.Several((acquire(1), acquire(2))))
    tokens = [reply.grants[0].token for reply in granted]
    steps = (release(1, tokens[0]), release(2, tokens[1]), acquire(3), release(2, tokens[1]))
    assert pair.do(ops.Several(steps))[2].grants[0].slot == 0


def test_other_sessions_are_told_at_once(pair: Lockstep) -> None:
    """A grant to another session is hinted by the step that makes it (the pair compares)."""
    tokens = [reply.grants[0].token for reply in pair.do(ops.Several((acquire(1), acquire(2))))]
    for sequence in range(1, 4):
        pair.do(acquire(sequence, "b"))
    pair.do(ops.Several((release(1, tokens[0]), acquire(3), release(2, tokens[1]))))
    assert [held.session for held, _ in pair.state.holders()] == ["b", "b"]


def test_expired_session_is_refused_in_each_step(pair: Lockstep) -> None:
    """What others lost meanwhile is reaped once; nothing of the steps is done."""
    pair.do(ops.Several((acquire(1), acquire(2), acquire(3))))
    for _ in range(3):
        pair.now += 4_000_000
        pair.do(ops.Heartbeat("b", 1, 0))
    late = pair.do(ops.Several((release(1, 1), acquire(4))))
    assert statuses(late) == [Status.EXPIRED] * 2
    pair.flush_all()
    assert statuses(pair.do(ops.Several((release(1, 1), acquire(4))))) == [Status.EXPIRED] * 2


def test_full_server_refuses_all_steps(pair: Lockstep) -> None:
    """Also where a release comes first, which alone would get through; nothing is changed."""
    token = pair.do(acquire(1)).grants[0].token
    steps = (release(1, token), acquire(2))
    pair.client.config_set("maxmemory-policy", "noeviction")
    pair.client.config_set("maxmemory", 1)
    try:
        with pytest.raises(redis.ResponseError, match="maxmemory"):
            Bench.run(pair, ops.Several(steps))
    finally:
        pair.client.config_set("maxmemory", 0)
    pair.compare()
    assert statuses(pair.do(ops.Several(steps))) == [Status.OK, Status.GRANTED]
