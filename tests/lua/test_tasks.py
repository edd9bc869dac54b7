"""Serving a backlog, step by step on both sides: orders, outcomes, timers, results."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from loco_redis._replies import Status
from loco_redis.testing import ops
from loco_redis.testing.model_state import rid_of, sequence_of
from tests.lua.lockstep import Lockstep
from tests.lua.test_model import (
    LEASE,
    PIECES,
    GovernedMachine,
    Machine,
    agents,
    competitors,
    follow,
    hidden,
    picks,
    sessions,
    weights,
)
from tests.servers import Server

WAITS = (0, 1, 1000, LEASE // 2, 2 * LEASE)

waits = st.sampled_from(WAITS)
starts = st.sampled_from((b"", b"", b"+1000", b"+5000000", b"1", b"+0"))
deadlines = st.sampled_from((b"", b"", b"+1", b"+5000000", b"+90000000"))
ttls = st.sampled_from((b"0", b"0", b"1000", b"7000000"))
keys = st.sampled_from((b"", b"", b"", b"k|1", b"k2"))
outcomes = st.sampled_from("cccffp")


class Backlog(Machine):
    """`Machine` with requests that serve any agent, and tasks that have orders."""

    @rule(session=sessions, is_hidden=hidden)
    def serve(self, session: str, is_hidden: bool) -> None:
        self.call(ops.Serve(*self.clients[session].mint()), is_hidden)

    @rule(session=sessions, count=st.integers(2, 4))
    def serve_more(self, session: str, count: int) -> None:
        for _ in range(count):
            self.serve(session, False)

    @rule(
        session=sessions,
        agent=agents | competitors,
        weight=weights,
        limit=st.integers(0, 2),
        start=starts,
        deadline=deadlines,
        ttl=ttls,
        key=keys,
        is_hidden=hidden,
    )
    def order(
        self,
        session: str,
        agent: bytes,
        weight: int,
        limit: int,
        start: bytes,
        deadline: bytes,
        ttl: bytes,
        key: bytes,
        is_hidden: bool,
    ) -> None:
        order = b"|".join((start, deadline, ttl, key))
        common = self.clients[session].mint()
        op = ops.Submit(*common, agent, weight, limit, b"", b"", order)
        self.tasks.append(rid_of(session, op.sequence))
        self.call(op, is_hidden)

    @rule(
        picked=st.lists(picks, min_size=1, max_size=4),
        charge=st.booleans(),
        outcome=outcomes,
        delay=waits,
        error=st.sampled_from((0, 0, 0, 0, 1)),
        is_hidden=hidden,
    )
    def complete(
        self,
        picked: list[int],
        charge: bool,
        outcome: str,
        delay: int,
        error: int,
        is_hidden: bool,
    ) -> None:
        for pick in picked:
            if holders := self.pair.state.holders():
                request, lease = holders[pick % len(holders)]
                common = self.clients[request.session].common()
                call = (*common, sequence_of(request.rid), lease.token + error, charge)
                op = ops.Complete(*call, "0101", b"", outcome, b"|v\x00", delay)
                self.call(op, is_hidden)

    @rule(session=sessions, pick=picks)
    def ask(self, session: str, pick: int) -> None:
        task = self.tasks[-1 - pick % len(self.tasks)]
        self.call(ops.Result(*self.clients[session].common(), task))

    @precondition(lambda self: self.pair.state.orders)
    @rule(session=sessions, pick=picks)
    def ask_for_one_with_an_order(self, session: str, pick: int) -> None:
        tasks = sorted(self.pair.state.orders)
        common = self.clients[session].common()
        self.call(ops.Result(*common, tasks[pick % len(tasks)]))

    @precondition(lambda self: self.pair.state.alarm)
    @rule(early=st.sampled_from((0, 0, 1)))
    def wait_for_the_alarm(self, early: int) -> None:
        self.pair.now = max(self.pair.now, self.pair.state.alarm - early)


class GovernedBacklog(Backlog, GovernedMachine):
    """And with rules that come and go."""


@pytest.mark.slow
@pytest.mark.timeout(600)  # a failure is shrunk, which takes minutes
@pytest.mark.parametrize("piece", range(PIECES))
@pytest.mark.parametrize("machine", [Backlog, GovernedBacklog])
def test_scripts_follow_the_model(any_server: Server, machine: type[Machine], piece: int) -> None:
    """After every call of any sequence, replies, hints and the whole state are the model's."""
    follow(any_server, machine, piece, part=2)  # besides those of test_model, without a backlog


@pytest.fixture
def pair(server: Server) -> Iterator[Lockstep]:
    pair = Lockstep(server.client)
    pair.do(ops.Open("a", 0, "h|1", capacity=1, lease=LEASE))
    pair.do(ops.Open("b", 0, "h|2"))
    yield pair
    pair.close()


def test_the_best_agent_is_served(pair: Lockstep) -> None:
    """Of all agents with tasks the one that L(i) puts first, and in its own queue the oldest."""
    for sequence, (agent, weight) in enumerate(((b"x", 1000), (b"y", 3000), (b"x", 1000)), 1):
        pair.do(ops.Submit("a", sequence, 0, sequence, agent, weight))
    served = []
    for sequence in (4, 6, 8):
        reply = pair.do(ops.Serve("a", sequence, 0, sequence))
        assert reply.status is Status.GRANTED
        served.append((reply.grants[0].agent, reply.grants[0].task_id))
        pair.do(ops.Complete("a", sequence, 0, sequence, reply.grants[0].token))
    assert served == [(b"y", "a:000000000002"), (b"x", "a:000000000001"), (b"x", "a:000000000003")]


def test_a_task_comes_to_whoever_waits(pair: Lockstep) -> None:
    """It is granted by the very script that submits it, to the session that has waited longest."""
    assert pair.do(ops.Serve("b", 1, 0, 1)).status is Status.QUEUED
    assert pair.do(ops.Serve("a", 1, 0, 1)).status is Status.QUEUED
    pair.do(ops.Submit("a", 2, 0, 2, b"x", 1000))
    ((holder, lease),) = pair.state.holders()
    assert (holder.session, holder.agent, lease.task) == ("b", b"x", "a:000000000002")


def test_who_asks_for_a_result_is_told(pair: Lockstep) -> None:
    """By a hint and by the count of deliveries, so that a lost hint is noticed; once."""
    pair.do(ops.Submit("a", 1, 0, 1, b"x", 1000, order=b"||60000000|"))
    before = pair.state.sessions["b"].delivered
    for _ in range(2):
        assert pair.do(ops.Result("b", 1, 0, "a:000000000001")).status is Status.QUEUED
    (grant,) = pair.do(ops.Serve("a", 2, 0, 2)).grants
    pair.do(ops.Complete("a", 2, 0, 2, grant.token, value=b"j42"))
    assert pair.state.sessions["b"].delivered == before + 1
    row = pair.before.sessions[b"b"].split(b"|")
    assert int(row[4]) == before + 1
    reply = pair.do(ops.Result("b", 1, 0, "a:000000000001"))
    assert (reply.kind, reply.value) == ("c", b"j42")


def test_attempts_come_to_an_end(pair: Lockstep) -> None:
    """After as many as it may have it is dead, with the reason of the last."""
    pair.do(ops.Submit("a", 1, 0, 1, b"x", 1000, max_attempts=2))
    for sequence in (2, 3):
        (grant,) = pair.do(ops.Serve("a", sequence, 0, sequence)).grants
        assert grant.attempt == sequence - 1
        call = ("a", sequence, 0, sequence, grant.token, False, "0000", b"")
        pair.do(ops.Complete(*call, outcome="f", value=b"no %d" % sequence))
    assert pair.do(ops.Serve("a", 4, 0, 4)).status is Status.QUEUED
    reply = pair.do(ops.Result("a", 5, 0, "a:000000000001"))
    assert (reply.kind, reply.value) == ("f", b"no 3")
