"""What must hold in the server's state after every script."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from loco_redis._replies import Status
from loco_redis._rows import LoadRow
from loco_redis.testing import invariants, ops
from loco_redis.testing.dump import Dump
from loco_redis.testing.model import Outcome
from loco_redis.testing.model_dump import dump
from loco_redis.testing.model_state import Lease, State
from tests.simulation.verdict import Verdict

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

_DUMP_EVERY = 16  # steps: a dump costs as much as some of them
SLACK = 1.0  # the documented bound: lease + heartbeat interval + 1 s


class StateWatch:
    """`stepped` after every script.

    Attributes:
        live: the leases by token, each with its request.
        owners: the process that opened a session.
        accepted: when a durable task was queued.
        amnesty: up to this token they may be given again.
    """

    def __init__(self, world: World, verdict: Verdict, seen: Counter[str]) -> None:
        self.world, self.plan, self.clock = world, world.plan, world.clock
        self.verdict, self.seen = verdict, seen
        self.steps = 0
        self.owners: dict[str, Process] = {}
        self.accepted: dict[str, float] = {}
        self.amnesty = 0
        self._last_token, self._last_at = 0, 0.0
        self._ever_asked: set[str] = set()
        self._ever_granted: set[str] = set()
        self._ever_tasks: set[str] = set()
        self._state: State | None = None
        self._forget()

    def _forget(self) -> None:
        """The server was emptied."""
        self.live: dict[int, tuple[str, Lease]] = {}
        self._sessions: set[str] = set()
        self._requests: set[str] = set()
        self._tasks: set[str] = set()
        self._key: tuple[int, ...] = ()
        self._before: Dump | None = None

    def stepped(self, origin: Process, op: ops.Op, outcome: Outcome) -> None:
        self.steps += 1
        state, reply = self.world.server.state, outcome.reply
        if state is not self._state:
            self._state = state
            self._forget()
        if isinstance(op, ops.Open):
            self.owners.setdefault(op.session, origin)
        if isinstance(op, ops.Submit) and reply.status is Status.OK:
            self.accepted.setdefault(f"{op.session}:{op.sequence:012d}", self.clock.now)
        self.verdict.tell(f"{origin.name} {_said(op, reply)} #{state.serial}")
        if state.sessions.keys() != self._sessions:
            self._sessions_changed(state, op)
        key = (state.granted, state.seq, state.released, state.reclaimed, len(state.requests))
        if key != self._key:
            self._key = key
            self._check_requests(state)
        if self.steps % _DUMP_EVERY == 0:
            self.check_dump()

    def check_dump(self) -> Dump:
        """The numbered invariants, and those between this moment and the last such check."""
        after = _indexed(dump(self.world.server.state))
        try:
            invariants.check(after)
            if self._before is not None:
                invariants.check_progress(self._before, after)
        except invariants.InvariantViolation as error:
            self.verdict.fail(f"invariant {error.number}", str(error))
        self._before = after
        return after

    def _sessions_changed(self, state: State, op: ops.Op) -> None:
        closed = op.session if isinstance(op, ops.Close) else None
        for session in sorted(self._sessions - state.sessions.keys()):
            if session != closed:
                self._expired(session)
        self._sessions = set(state.sessions)

    def _expired(self, session: str) -> None:
        owner = self.owners[session]
        self.seen["sessions expired"] += 1
        self.verdict.tell(f"{owner.name} {session[:4]} expired")
        if owner.closing or owner.session_id != session:
            return  # nobody keeps it any more, or yet
        if not owner.may_expire(since=self.world.lately):
            self.verdict.fail("false expiry", f"session {session} of {owner.name}")

    def _is_new_count(self) -> bool:
        """Emptied since the last token, and with a clock set back, the server has that token only
        from who comes back first, and who has seen it may come later."""
        server = self.world.server
        return server.now < self._last_token and server.flushes[-1:] > [self._last_at]

    def _check_requests(self, state: State) -> None:
        live = {r.lease.token: (rid, r.lease) for rid, r in state.requests.items() if r.lease}
        if len(live) > self.plan.capacity or len({h.slot for _, h in live.values()}) < len(live):
            self.verdict.fail("capacity", f"{len(live)} leases: {live}")
        for token in sorted(live.keys() - self.live.keys()):
            rid, lease = live[token]
            self.verdict.tell(f"granted {rid[:4]}:{int(rid[17:])} slot {lease.slot} token {token}")
            if self._is_new_count():
                self.amnesty = self._last_token
            if self.amnesty < token <= self._last_token:
                self.verdict.fail("token", f"{token} was granted after {self._last_token}")
            if rid in self._ever_granted:
                self.verdict.fail("granted twice", rid)
            self._last_token, self._last_at = max(self._last_token, token), self.clock.now
            self._ever_granted.add(rid)
        self.live = live
        requests, tasks = set(state.requests), set(state.tasks)
        if again := (requests - self._requests) & self._ever_asked:
            self.verdict.fail("request revived", str(sorted(again)))
        if again := (tasks - self._tasks) & self._ever_tasks:
            self.verdict.fail("task revived", str(sorted(again)))
        self._ever_asked |= requests
        self._ever_tasks |= tasks
        self._requests, self._tasks = requests, tasks


def _said(op: ops.Op, reply: Any) -> str:
    session = getattr(op, "session", "")[:4]
    if isinstance(op, ops.Several):
        each = zip(op.steps, reply, strict=True)
        return f"{session} " + ",".join(f"{s.verb}:{r.status.name}" for s, r in each)
    return f"{session} {op.verb} {reply.status.name} {getattr(op, 'sequence', '')}"


def _indexed(found: Dump) -> Dump:
    """With an index as a server might have it: each candidate in a bucket of its own. The model
    keeps none."""
    loads = {agent: LoadRow.parse(row) for agent, row in found.loads.items()}
    rows = [(v.q, a, v) for a, v in loads.items() if v.bound + v.open > 0 and v.place != "c"]
    index, buckets = {}, {}
    for rank, (q, agent, load) in enumerate(sorted(rows, key=lambda row: row[:2])):
        bucket = b"%b%04d" % (load.place.encode(), rank)
        index[b"%b%012d%016d%016d%b" % (bucket, load.tick, 10**15 - q, load.seq, agent)] = 0.0
        buckets[bucket] = float(load.tick)
    idle = {
        b"0000%012d%016d%016d%b" % (v.tick, 9 * 10**15 - v.q, v.seq, agent): 0.0
        for agent, v in loads.items()
        if v.bound + v.open == 0
    }
    return replace(found, index=index, buckets=buckets, idle=idle)
