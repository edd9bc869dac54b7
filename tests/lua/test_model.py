"""The scripts do what the reference model says, step by step, in any order of calls.

`LOCO_MODEL_EXAMPLES` sets the number of sequences tried on the default server.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from loco_redis._replies import Status
from loco_redis.testing import invariants, ops
from loco_redis.testing.model_dump import dump
from loco_redis.testing.model_state import DEAD, rid_of, sequence_of
from tests.lua.lockstep import Lockstep
from tests.servers import DEFAULT, Server

EXAMPLES = int(os.environ.get("LOCO_MODEL_EXAMPLES", "300"))
PIECES = 3  # of the sequences, so that several processes can try them
LEASE = 10_000_001  # odd: half of it is no integer

SESSIONS = ("a1", "b", "b0")
AGENTS = (b"b", b"b\x01|\n", "bé:%s".encode())
WEIGHTS = (1000, 1500, 3000, 7001)
ALPHAS = (0.0, 0.25, 0.3, 0.5, 1.0)
SURVIVORS = (SESSIONS, SESSIONS, SESSIONS[:2], SESSIONS[1:], SESSIONS[:1], ())
STEPS = (1, 1000, LEASE // 2, LEASE // 2 + 1, 3 * LEASE, -1, -2 * LEASE)

sessions = st.sampled_from(SESSIONS)
agents = st.sampled_from(AGENTS)
weights = st.sampled_from(WEIGHTS)
alphas = st.sampled_from(ALPHAS)
capacities = st.integers(0, 3)
hidden = st.sampled_from((False, False, True))
seldom = st.sampled_from((False,) * 7 + (True,))
attempts = st.lists(st.integers(0, 2), min_size=1, max_size=4)
picks = st.integers(0, 40)
GIVEN = (b"", b"", b"2500::", b":300:", b"800:40:public", b"::secret\x1fpublic")
COMPETITORS = (b"b", b"t-1/a", b"t-1/b", b"t-1/c", b"t2/x")
competitors = st.sampled_from(COMPETITORS)
givens = st.sampled_from(GIVEN)
acquires = st.tuples(agents | competitors, st.none() | weights, givens)
logs = st.sampled_from((None,) * 6 + (0, 3, 50))
pauses = st.sampled_from((None,) * 9 + (0, 0, 0, 0, 1))


@dataclass
class Client:
    """What one session knows: its calls without a seen reply, its grants, the highest token."""

    session: str
    sequence: int = 0
    unseen: set[int] = field(default_factory=set)
    tokens: dict[int, int] = field(default_factory=dict)
    seen: int = 0

    @property
    def floor(self) -> int:
        return min(self.unseen, default=self.sequence + 1)

    def common(self) -> tuple[str, int, int]:
        return self.session, self.floor, self.seen

    def mint(self) -> tuple[str, int, int, int]:
        """The arguments of a new call; its reply is not seen yet."""
        self.sequence += 1
        self.unseen.add(self.sequence)
        return *self.common(), self.sequence

    def see(self, op: ops.Op, reply: Any) -> None:
        for grant in getattr(reply, "grants", ()):
            self.tokens[grant.sequence] = grant.token
            self.seen = max(self.seen, grant.token)
        self.unseen.discard(getattr(op, "sequence", 0))


class Machine(RuleBasedStateMachine):
    """A few sessions, some of whose replies are lost, against the model and a server."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        client.flushall()
        self.pair = Lockstep(client)
        self.clients = {name: Client(name) for name in SESSIONS}
        self.history: list[ops.Op] = []
        self.leases: list[ops.Settle] = []
        self.is_sound = True
        self.tasks = ["b:000000000099"]

    def call(self, op: ops.Op, is_hidden: bool = False) -> Any:
        """Run an operation on both sides; the caller learns the reply unless it is hidden."""
        self.is_sound = False
        reply = self.pair.do(op)
        self.is_sound = True
        self.history.append(op)
        client = self.clients.get(getattr(op, "session", ""))
        if client is None:
            return reply
        steps = zip(op.steps, reply, strict=True) if isinstance(op, ops.Several) else ((op, reply),)
        for step, answer in steps:
            for grant in getattr(answer, "grants", ()):
                self.leases.append(ops.Settle(client.session, grant.sequence, grant.token, 0))
            if not is_hidden:
                client.see(step, answer)
        return reply

    @initialize(
        capacity=st.sampled_from((1, 1, 2, 3, 0)),
        alpha=alphas,
        limit=st.sampled_from((-1, -1, 0, 2)),
        events=st.sampled_from((None, 50)),
    )
    def first(self, capacity: int, alpha: float, limit: int, events: int | None) -> None:
        self.call(ops.Open("a1", 0, "h|1", capacity, alpha, LEASE, limit, events=events))
        self.call(ops.Open("b", 0, "h|2"))
        self.call(ops.Open("b0", 0, "h|3"))

    @rule(session=sessions, capacity=st.none() | capacities, alpha=st.none() | alphas)
    def open(self, session: str, capacity: int | None, alpha: float | None) -> None:
        self.call(ops.Open(session, self.clients[session].seen, "h|1", capacity, alpha))

    @rule(session=sessions)
    def adopt(self, session: str) -> None:
        self.call(ops.Open(session, self.clients[session].seen, "h|1"))

    @rule(session=sessions, is_hidden=hidden)
    def heartbeat(self, session: str, is_hidden: bool) -> None:
        self.call(ops.Heartbeat(*self.clients[session].common()), is_hidden)

    @rule(
        session=sessions,
        agent=agents,
        weight=weights,
        limit=st.integers(0, 2),
        body=st.sampled_from((b"", b"\x00|\xff")),
        is_hidden=hidden,
    )
    def submit(
        self, session: str, agent: bytes, weight: int, limit: int, body: bytes, is_hidden: bool
    ) -> None:
        op = ops.Submit(*self.clients[session].mint(), agent, weight, limit, body)
        self.tasks.append(rid_of(session, op.sequence))
        self.call(op, is_hidden)

    @rule(session=sessions, agent=agents, weight=weights, is_hidden=hidden)
    def acquire(self, session: str, agent: bytes, weight: int, is_hidden: bool) -> None:
        self.call(ops.Acquire(*self.clients[session].mint(), agent, weight), is_hidden)

    @rule(wants=st.lists(st.tuples(sessions, agents, weights), min_size=2, max_size=8))
    def burst(self, wants: list[tuple[str, bytes, int]]) -> None:
        for session, agent, weight in wants:
            self.acquire(session, agent, weight, False)

    @rule(session=sessions, agent=agents, is_hidden=hidden)
    def acquire_open(self, session: str, agent: bytes, is_hidden: bool) -> None:
        self.call(ops.Acquire(*self.clients[session].mint(), agent), is_hidden)

    @precondition(lambda self: self.leases)
    @rule(pick=picks, charge=st.booleans(), error=st.sampled_from((0, 0, 0, 1)), is_hidden=hidden)
    def release(self, pick: int, charge: bool, error: int, is_hidden: bool) -> None:
        lease = self.leases[-1 - pick % len(self.leases)]
        common = self.clients[lease.session].common()
        self.call(ops.Release(*common, lease.sequence, lease.token + error, charge), is_hidden)

    @rule(picked=st.lists(picks, min_size=1, max_size=5), charge=st.booleans())
    def release_holders(self, picked: list[int], charge: bool) -> None:
        for pick in picked:
            if holders := self.pair.state.holders():
                request, lease = holders[pick % len(holders)]
                common = self.clients[request.session].common()
                sequence = sequence_of(request.rid)
                self.call(ops.Release(*common, sequence, lease.token, charge))

    @rule(
        session=sessions,
        wants=st.lists(acquires | picks, min_size=1, max_size=6),
        charge=st.booleans(),
        error=st.sampled_from((0, 0, 0, 0, 1)),
        is_hidden=hidden,
    )
    def several(
        self,
        session: str,
        wants: list[tuple[bytes, int | None, bytes] | int],
        charge: bool,
        error: int,
        is_hidden: bool,
    ) -> None:
        """Acquires and releases of one session in one script; a number picks what to release."""
        client, steps, holders = self.clients[session], [], self.pair.state.holders()
        mine = [(held.rid, lease.token) for held, lease in holders if held.session == session]
        for want in wants:
            if isinstance(want, tuple):
                steps.append(ops.Acquire(*client.mint(), *want))
            elif mine:
                rid, token = mine[want % len(mine)]
                release = (*client.common(), sequence_of(rid), token + error)
                steps.append(ops.Release(*release, charge, "0312", b"s\x1ft\x1f\x1fm"))
        if steps:
            self.call(ops.Several(tuple(steps)), is_hidden)

    @precondition(lambda self: self.leases)
    @rule(pick=picks, cost=st.sampled_from((0, 500, 4000)), error=st.sampled_from((0, 0, 0, 1)))
    def settle(self, pick: int, cost: int, error: int) -> None:
        lease = self.leases[-1 - pick % len(self.leases)]
        self.call(ops.Settle(lease.session, lease.sequence, lease.token + error, cost))

    @rule(session=sessions, back=st.integers(-2, 12), is_hidden=hidden)
    def cancel(self, session: str, back: int, is_hidden: bool) -> None:
        client = self.clients[session]
        self.call(ops.Cancel(*client.common(), max(client.sequence - back, 1)), is_hidden)

    @precondition(lambda self: self.pair.state.requests)
    @rule(pick=picks)
    def cancel_a_request(self, pick: int) -> None:
        """Of a waiting or granted request, as a caller does who gives up."""
        rids = sorted(self.pair.state.requests)
        session, _, sequence = rids[pick % len(rids)].partition(":")
        self.call(ops.Cancel(*self.clients[session].common(), int(sequence)))

    @rule(session=sessions, agent=agents, limits=attempts)
    def pull(self, session: str, agent: bytes, limits: list[int]) -> None:
        """Durable tasks, and as many open requests for them."""
        for limit in limits:
            self.submit(session, agent, 1500, limit, b"", False)
        for _ in limits:
            self.acquire_open(session, agent, False)

    @precondition(lambda self: self.pair.state.tasks)
    @rule(session=sessions, pick=picks)
    def cancel_a_task(self, session: str, pick: int) -> None:
        tasks = sorted(self.pair.state.tasks)
        common = self.clients[session].mint()
        self.call(ops.CancelTask(*common, tasks[pick % len(tasks)]))

    @rule(session=sessions, pick=picks, is_hidden=hidden)
    def cancel_task(self, session: str, pick: int, is_hidden: bool) -> None:
        task = self.tasks[-1 - pick % len(self.tasks)]
        self.call(ops.CancelTask(*self.clients[session].mint(), task), is_hidden)

    @precondition(lambda self: self.pair.state.requests)
    @rule(session=sessions, pick=picks, is_hidden=hidden)
    def evict(self, session: str, pick: int, is_hidden: bool) -> None:
        """Any session may end a request of any other, and its own."""
        rids = sorted(self.pair.state.requests)
        self._evict(session, rids[pick % len(rids)], is_hidden)

    @rule(session=sessions, owner=sessions, back=st.integers(-2, 12), is_hidden=hidden)
    def evict_anything(self, session: str, owner: str, back: int, is_hidden: bool) -> None:
        """What has ended long ago, was never a request, or has not come yet."""
        target = rid_of(owner, max(self.clients[owner].sequence - back, 1))
        self._evict(session, target, is_hidden)

    def _evict(self, session: str, target: str, is_hidden: bool) -> None:
        self.call(ops.Evict(*self.clients[session].mint(), target), is_hidden)

    @precondition(lambda self: any(task.state == DEAD for task in self.pair.state.tasks.values()))
    @rule(session=sessions, pick=picks, is_hidden=hidden)
    def requeue_a_dead_task(self, session: str, pick: int, is_hidden: bool) -> None:
        dead = sorted(task.rid for task in self.pair.state.tasks.values() if task.state == DEAD)
        op = ops.Requeue(*self.clients[session].mint(), dead[pick % len(dead)])
        self.call(op, is_hidden)

    @rule(session=sessions, other=sessions, agent=agents, is_revived=st.booleans())
    def wear_out(self, session: str, other: str, agent: bytes, is_revived: bool) -> None:
        """The lease of a task that may be started once is taken away."""
        self.pull(session, agent, [1])
        tasks = self.pair.state.tasks
        for request, lease in self.pair.state.holders():
            if lease.task and tasks[lease.task].max_attempts == 1:
                self._evict(other, request.rid, False)
        for rid in sorted(task.rid for task in tasks.values() if task.state == DEAD and is_revived):
            self.call(ops.Requeue(*self.clients[session].mint(), rid))

    @rule(session=sessions, pick=picks, is_hidden=hidden)
    def requeue(self, session: str, pick: int, is_hidden: bool) -> None:
        task = self.tasks[-1 - pick % len(self.tasks)]
        self.call(ops.Requeue(*self.clients[session].mint(), task), is_hidden)

    @rule(session=sessions, agent=agents, is_hidden=hidden)
    def register(self, session: str, agent: bytes, is_hidden: bool) -> None:
        self.call(ops.Register(*self.clients[session].mint(), agent, "x|y"), is_hidden)

    @rule(session=sessions, agent=agents, is_hidden=hidden)
    def unregister(self, session: str, agent: bytes, is_hidden: bool) -> None:
        self.call(ops.Unregister(*self.clients[session].mint(), agent), is_hidden)

    @rule(
        session=sessions,
        version=st.sampled_from((0, 0, 1, 2)),
        capacity=st.none() | capacities,
        alpha=st.none() | alphas,
        limit=st.sampled_from((None, -1, 0, 2)),
        events=logs,
        paused=pauses,
        is_hidden=hidden,
    )
    def reconfigure(
        self,
        session: str,
        version: int,
        capacity: int | None,
        alpha: float | None,
        limit: int | None,
        events: int | None,
        paused: int | None,
        is_hidden: bool,
    ) -> None:
        common = self.clients[session].mint()
        op = ops.Reconfigure(*common, version, capacity, alpha, limit, events=events, paused=paused)
        self.call(op, is_hidden)

    @precondition(lambda self: self.pair.state.config and self.pair.state.config.paused)
    @rule(session=sessions)
    def resume(self, session: str) -> None:
        self.call(ops.Reconfigure(*self.clients[session].mint(), paused=0))

    @rule(session=sessions, is_meant=seldom)
    def maybe_close(self, session: str, is_meant: bool) -> None:
        if is_meant:
            self.close(session)

    def close(self, session: str) -> None:
        self.call(ops.Close(session, self.clients[session].seen))

    @rule()
    def reap(self) -> None:
        self.call(ops.Reap())

    @precondition(lambda self: self.history)
    @rule(pick=picks)
    def replay(self, pick: int) -> None:
        """A call comes a second time, perhaps much later, because its reply was lost."""
        self.call(self.history[-1 - pick % len(self.history)])

    @rule(session=sessions, agent=agents)
    def read(self, session: str, agent: bytes) -> None:
        self.call(ops.Poll(session))
        self.call(ops.Agent(agent))
        self.call(ops.Snapshot(limit=1000))

    @rule(step=st.sampled_from(STEPS))
    def pass_time(self, step: int) -> None:
        self.pair.now += step

    @rule(survivors=st.sampled_from(SURVIVORS))
    def let_expire(self, survivors: tuple[str, ...]) -> None:
        """More than a lease passes, in which only some sessions beat."""
        for _ in range(3):
            self.pair.now += LEASE // 2
            for session in survivors:
                self.heartbeat(session, False)

    @rule()
    def script_flush(self) -> None:
        self.pair.client.script_flush()

    @rule(is_meant=seldom)
    def flush_all(self, is_meant: bool) -> None:
        if is_meant:
            self.pair.flush_all()

    def teardown(self) -> None:
        try:
            if self.pair.state.config and self.is_sound:
                self._come_to_rest()
        finally:
            self.pair.close()

    def _come_to_rest(self) -> None:
        while live := list(self.pair.state.sessions):  # one that has much is closed in parts
            self.close(live[0])
        self.pair.do(ops.Open("end", 0))
        for sequence, task in enumerate(list(self.pair.state.tasks), start=1):
            reply = self.pair.do(ops.CancelTask("end", sequence, 0, sequence, task))
            assert reply.status is Status.OK
        invariants.check_at_rest(dump(self.pair.state))
        assert not self.pair.before.slots
        assert not self.pair.before.buckets


RULES = (
    (b"b", (b"", b"6000|r|", b"4000|a|day", b"|d|3000000", b"9000|r|month")),
    (b"Bb", (b"", b"0", b"5000", b"12000")),
    (b"Bt-1/a", (b"", b"7000")),
    (b"tt-1", (b"", b"||", b"2||", b"|9000|", b"||1", b"1|20000|2")),
    (b"tt2", (b"", b"||0", b"||1")),
    (b"cb", (b"", b"0", b"1", b"2")),
    (b"ct-1/a", (b"", b"1")),
    (b"r", (b"", b"2000|5000000", b"|60000000")),
    (b"Rb", (b"", b"500", b"7000")),
    (b"ab", (b"", b"public\x1finternal")),
    (b"s", (b"", b"2|3000000")),
    (b"o", (b"", b"1|3|0.75|0.9")),
)
LABELS = (b"", b"s\x1ft\x1f\x1fm", b"\x1f\x1fw\x1f", b"s2\x1ft\x1fw\x1fm")
PACES: tuple[dict[str, int], ...] = (
    {"rpm": 0},
    {"rpm": 7, "rpm_burst": 2},
    {"tpm": 1000, "tpm_burst": 100},
    {"tpm": 0},
    {"adaptive": 1, "capacity": 3},
    {"adaptive": 0},
    {"auto_tune": 1},
    {"auto_tune": 1},
    {"auto_tune": 0},
)

rule_pairs = st.sampled_from([(name, value) for name, values in RULES for value in values])


class GovernedMachine(Machine):
    """The same with rules that come and go, for agents of two tenants and one of none."""

    @rule(session=sessions, pairs=st.lists(rule_pairs, min_size=1, max_size=4), is_hidden=hidden)
    def govern(self, session: str, pairs: list[tuple[bytes, bytes]], is_hidden: bool) -> None:
        changes = ops.packed(dict(pairs))
        self.call(ops.Govern(*self.clients[session].mint(), changes), is_hidden)

    @rule(
        wants=st.lists(
            st.tuples(sessions, competitors, st.none() | st.sampled_from(WEIGHTS), givens),
            min_size=1,
            max_size=6,
        )
    )
    def ask(self, wants: list[tuple[str, bytes, int | None, bytes]]) -> None:
        for session, agent, weight, given in wants:
            self.call(ops.Acquire(*self.clients[session].mint(), agent, weight, given))

    @rule(session=sessions, agent=competitors, given=givens, limit=st.integers(0, 2))
    def queue(self, session: str, agent: bytes, given: bytes, limit: int) -> None:
        op = ops.Submit(*self.clients[session].mint(), agent, 1500, limit, b"", given)
        self.tasks.append(rid_of(session, op.sequence))
        self.call(op)

    @rule(
        picked=st.lists(picks, min_size=1, max_size=4),
        charge=st.booleans(),
        cell=st.sampled_from(("0000", "0312")),
        labels=st.sampled_from(LABELS),
    )
    def finish(self, picked: list[int], charge: bool, cell: str, labels: bytes) -> None:
        for pick in picked:
            if holders := self.pair.state.holders():
                request, lease = holders[pick % len(holders)]
                common = self.clients[request.session].common()
                sequence = sequence_of(request.rid)
                self.call(ops.Release(*common, sequence, lease.token, charge, cell, labels))

    @precondition(lambda self: self.leases)
    @rule(
        pick=picks,
        cost=st.sampled_from((0, 500, 40000)),
        tokens=st.sampled_from((None, 0, 90)),
        labels=st.sampled_from(LABELS),
    )
    def settle_tokens(self, pick: int, cost: int, tokens: int | None, labels: bytes) -> None:
        lease = self.leases[-1 - pick % len(self.leases)]
        self.call(ops.Settle(lease.session, lease.sequence, lease.token, cost, tokens, labels))

    @rule(session=sessions, back=st.integers(0, 6))
    def time_out(self, session: str, back: int) -> None:
        client = self.clients[session]
        self.call(ops.Cancel(*client.common(), max(client.sequence - back, 1), True))

    @precondition(lambda self: self.leases)
    @rule(pick=picks, pause=st.sampled_from((0, 1_000_000, 6_000_000)), is_hidden=hidden)
    def throttle(self, pick: int, pause: int, is_hidden: bool) -> None:
        lease = self.leases[-1 - pick % len(self.leases)]
        common = self.clients[lease.session].mint()
        self.call(ops.Throttle(*common, lease.token, pause), is_hidden)

    @rule(
        session=sessions,
        pace=st.sampled_from(PACES),
        events=logs,
        paused=pauses,
        is_hidden=hidden,
    )
    def pace(
        self,
        session: str,
        pace: dict[str, int],
        events: int | None,
        paused: int | None,
        is_hidden: bool,
    ) -> None:
        given: dict[str, Any] = {**pace, "events": events, "paused": paused}
        self.call(ops.Reconfigure(*self.clients[session].mint(), **given), is_hidden)

    @rule(
        session=sessions,
        scope=st.sampled_from((b"ab", b"at-1/a", b"tt-1", b"")),
        cost=st.sampled_from((None, 700)),
    )
    def spend(self, session: str, scope: bytes, cost: int | None) -> None:
        self.call(ops.Spend(*self.clients[session].mint(), scope, cost if scope else None))

    @rule(
        session=sessions,
        agent=competitors,
        signal=st.sampled_from(("success", "error", "timeout", "wait")),
        waited=st.integers(0, 4),
    )
    def judge(self, session: str, agent: bytes, signal: str, waited: int) -> None:
        self.call(ops.Judge(*self.clients[session].mint(), agent, signal, waited))

    @rule(session=sessions, amount=st.integers(-3, 3), is_hidden=hidden)
    def tally(self, session: str, amount: int, is_hidden: bool) -> None:
        entries = b"q|%d|3|a|bx|1500|2|ttx|0|1|u" % amount
        self.call(ops.Tally(*self.clients[session].mint(), entries), is_hidden)

    @rule(agent=competitors, given=givens)
    def look(self, agent: bytes, given: bytes) -> None:
        self.call(ops.Check(agent, 2000, given))
        self.call(ops.Standing())
        self.call(ops.Standing(ops.scopes(b"a" + agent, b"tt-1", b"tt2")))

    @rule(session=sessions, agent=competitors, is_hidden=hidden)
    def register_member(self, session: str, agent: bytes, is_hidden: bool) -> None:
        self.call(ops.Register(*self.clients[session].mint(), agent, "x"), is_hidden)
        if is_hidden:
            self.call(ops.Unregister(*self.clients[session].mint(), agent))

    @rule(step=st.sampled_from((100_000, 2_000_000, 40_000_000_000, 2_000_000_000_000)))
    def pass_more_time(self, step: int) -> None:
        self.pair.now += step


@pytest.mark.slow
@pytest.mark.timeout(600)  # a failure is shrunk, which takes minutes
@pytest.mark.parametrize("piece", range(PIECES))
@pytest.mark.parametrize("machine", [Machine, GovernedMachine])
def test_scripts_follow_the_model(any_server: Server, machine: type[Machine], piece: int) -> None:
    """After every call of any sequence, replies, hints and the whole state are the model's."""
    follow(any_server, machine, piece)


def follow(server: Server, machine: type[Machine], piece: int, part: int = 1) -> None:
    """Try a piece of the sequences of the machine's calls on a server; `part` 2 is half of them."""

    class OnServer(machine):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__(server.client)

    share = (part if server.name == DEFAULT else 5 * part) * PIECES
    is_same = "LOCO_MODEL_EXAMPLES" not in os.environ
    if is_same and piece:  # else they would all try the same
        seed(piece)(OnServer)
    profile = settings(
        max_examples=EXAMPLES // share + 1,  # one more: each begins with the simplest
        stateful_step_count=50,
        derandomize=is_same,
        database=None,
        report_multiple_bugs=False,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(OnServer, settings=profile)
