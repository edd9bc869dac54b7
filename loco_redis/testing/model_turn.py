"""What every writing script does around its verb: steps 1 to 4, 6 and 7 of `lua/README.md`."""

from __future__ import annotations

from dataclasses import dataclass, field

from loco_redis._replies import Grant
from loco_redis.testing import model_events as events
from loco_redis.testing import ops
from loco_redis.testing.model_grant import Granted, designated, grant_all, reclaim, told, withdraw
from loco_redis.testing.model_state import LATER, Request, State, rid_of, sequence_of, session_of
from loco_redis.testing.model_tasks import ring

UNITS = 32  # requests and sessions that a script ends
GONE = "gone"  # the hint to the owner of what was evicted

Hint = tuple[str, Grant | int | str]


@dataclass(slots=True)
class Turn:
    """One run of a writing script at `now` (TIME in microseconds). `hints` are those that go out at
    the moment of the decision."""

    state: State
    now: int
    granted: list[Granted] = field(default_factory=list)
    hints: list[Hint] = field(default_factory=list)
    reaped: int = 0
    rang: bool = False
    woken: tuple[str, int] | None = None

    def __post_init__(self) -> None:
        self.state.freed, self.state.told_results = [], []
        self.state.wake = 0

    def advance_clock(self) -> None:
        """Step 2: the lease clock follows TIME, but counts no outage and no step backwards."""
        state = self.state
        gap = self.now - state.raw
        if 0 < 2 * gap <= state.configured.lease:
            state.vnow += gap
        state.raw = self.now

    def reap(self) -> None:
        """Step 3: expired sessions lose what they have, at most 32 units a script."""
        state = self.state
        if not 0 < state.due <= state.vnow:
            return
        while self.reaped < UNITS:
            deadlines = ((row.deadline, name) for name, row in state.sessions.items())
            deadline, session = min(deadlines, default=(0, ""))
            state.due = deadline
            if not session or deadline > state.vnow:
                break
            self.reaped += self.end_session(session, UNITS - self.reaped)
            if session not in state.sessions:
                self.record("expired", session=session)
        self.grant()

    def ring(self) -> None:
        """The rest of step 3: what is due at this TIME."""
        if 0 < self.state.alarm <= self.now:
            ring(self.state, self.now)
            self.rang = True
            self.grant()

    def end_session(self, session: str, units: int) -> int:
        """A session loses its requests in order of rid, then its rows; the units it took."""
        state = self.state
        mine = state.requests_of(session)
        for request in mine[:units]:
            lease = request.lease
            if lease:
                facts = {"slot": lease.slot, "token": lease.token}
                self.record("reclaimed", request.agent, id=request.rid, **facts)
                reclaim(state, self.now, request, lease)
            else:
                withdraw(state, self.now, request)
        if len(mine) >= units:
            return units
        del state.sessions[session]
        state.tombstones = {rid for rid in state.tombstones if session_of(rid) != session}
        return len(mine) + 1

    def enters(self, call: ops.Call) -> bool:
        """Step 4: False if the session is not alive; else its floor and the fence rise."""
        state = self.state
        if call.session not in state.live:
            return False
        session = state.sessions[call.session]
        session.floor = max(session.floor, call.floor)
        state.tombstones = {
            rid
            for rid in state.tombstones
            if session_of(rid) != call.session or sequence_of(rid) >= session.floor
        }
        state.fence = max(state.fence, call.seen)
        return True

    def is_done(self, call: ops.Request) -> bool:
        """Has this request run before, or been cancelled before it came?"""
        rid = rid_of(call.session, call.sequence)
        below = call.sequence < self.state.sessions[call.session].floor
        return below or rid in self.state.tombstones

    def bury(self, call: ops.Request) -> None:
        """Leave a tombstone; below the floor the number alone refuses a duplicate."""
        if call.sequence >= self.state.sessions[call.session].floor:
            self.state.tombstones.add(rid_of(call.session, call.sequence))

    def grant(self) -> None:
        """Step 6."""
        self.tell_results()
        made = grant_all(self.state, self.now)
        self.granted += made
        self.hints += [(granted.session, as_grant(granted)) for granted in made]

    def tell_results(self) -> None:
        """Whoever asked for a result that is there now."""
        self.hints += self.state.told_results
        self.state.told_results = []

    def tell_due(self) -> None:
        """A task's time has come: who looks when the next one's will."""
        due = [task.due for task in self.state.tasks.values() if task.state == LATER]
        if due and (servers := self.state.servers()):
            at = self.state.vnow + max(min(due) - self.now, 1)
            self.hints.append((servers[0].session, at))
        self.rang = False

    def record(self, kind: str, agent: bytes | None = None, /, **facts: bytes | str | int) -> None:
        """An entry of the decision log."""
        events.record(self.state, self.now, kind, agent, **facts)

    @property
    def until_given(self) -> int:
        """In how many microseconds a slot that is free may be given; 0: a hint will come."""
        return max(self.state.wake - self.state.vnow, 1) if self.state.wake else 0

    def wake(self, session: str, is_own: bool = False) -> int:
        """In how many microseconds the caller should look again. Of a task's time one session is
        told, the first of those that serve any agent, and whoever has just said so (`is_own`)."""
        state, waits = self.state, [self.until_given] if self.until_given else []
        servers = state.servers()
        if is_own or (servers and servers[0].session == session):
            due = [task.due for task in state.tasks.values() if task.state == LATER]
            waits += [max(min(due) - self.now, 1)] if due else []
        return min(waits, default=0)

    def finish(self) -> int:
        """Steps 6 and 7; the serial number of this script."""
        self.grant()
        state = self.state
        if self.rang:
            self.tell_due()
        if state.wake and state.wake != state.told:
            self.woken = (designated(state), state.wake)
            state.told = state.wake
        # An account without anything in it has no row.
        state.accounts = {name: a for name, a in state.accounts.items() if a.used or a.over}
        events.written(state)
        state.serial += 1
        return state.serial

    def grants(self, session: str, known: Request | None = None) -> tuple[Grant, ...]:
        """The grants made to a session in this script; `known` was granted in an earlier one."""
        mine = [granted for granted in self.granted if granted.session == session]
        if known and known.lease and known.lease.token not in {grant.token for grant in mine}:
            mine.append(told(self.state, known))
        return tuple(map(as_grant, mine))


def as_grant(granted: Granted) -> Grant:
    """A grant as the client sees it, weight in units."""
    return Grant(
        sequence=granted.sequence,
        slot=granted.slot,
        token=granted.token,
        weight=granted.weight / 1000,
        attempt=granted.attempt,
        waited_ticks=granted.waited,
        score=granted.score,
        has_body=granted.has_body,
        flags=granted.flags,
        task_id=granted.task,
        agent=granted.agent,
    )
