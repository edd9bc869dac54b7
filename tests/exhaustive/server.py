"""The server's side: the reference model, each of whose states is kept once and gets a number.

States that differ only in what counts (serial, ticks, tokens, costs) are the same: with `alpha` = 1
the choice goes by depth and then by order of arrival, and reads none of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Any, NamedTuple

from loco_redis._replies import Grant
from loco_redis.testing import invariants, ops
from loco_redis.testing.dump import Dump
from loco_redis.testing.model import Outcome, step
from loco_redis.testing.model_dump import dump
from loco_redis.testing.model_state import Request, State, rid_of, sequence_of
from tests.exhaustive.client import Command, Reply, Violation

SESSIONS = ("a", "b")
LEASE = 10_000_000
BEGIN = 1_000_000_000_000_000
PART = LEASE * 2 // 5  # three of them outlast a lease, each is a gap that the lease clock counts

Step = Callable[[State, ops.Op, int], Outcome]
Bits = tuple[int, ...]  # for each session its requests, as bits


class Result(NamedTuple):
    """What one script did: the state after it, the reply, the hints to each session; the requests
    that came into the state and went out."""

    number: int
    state: int
    reply: Reply
    hints: tuple[tuple[int, ...], ...]
    came: Bits
    went: Bits


class Facts(NamedTuple):
    """What the search looks up in a state."""

    held: Bits
    there: Bits
    sessions: int


class Server:
    """All states of the model that were met, and what each command does in each.

    `states[0]` is the first: both sessions are open. Each keeps the invariants.
    """

    def __init__(self, capacity: int, do: Step = step) -> None:
        self._do = do
        self._numbers: dict[Any, int] = {}
        self._results: dict[tuple[int, int, Command], Result] = {}
        self._expired: dict[tuple[int, int, int], int] = {}
        self.states: list[State] = []
        self.times: list[int] = []
        self.facts: list[Facts] = []
        state = State()
        do(state, ops.Open("a", 0, capacity=capacity, alpha=1.0, lease=LEASE), BEGIN)
        do(state, ops.Open("b", 0), BEGIN)
        self._number(state, BEGIN)

    @property
    def scripts(self) -> int:
        """Different runs of a script."""
        return len(self._results)

    def run(self, number: int, session: int, command: Command) -> Result:
        """What the command does in a state."""
        key = (number, session, command)
        result = self._results.get(key)
        if result is None:
            try:
                result = self._results[key] = self._run(*key)
            except AssertionError as error:
                raise Violation(f"{command} of {SESSIONS[session]}: {error}") from error
        return result

    def expire(self, number: int, survivor: int, floor: int) -> int:
        """Time passes until the other session's lease is over; this one keeps its own."""
        key = (number, survivor, floor)
        after = self._expired.get(key)
        if after is None:
            state, now = clone(self.states[number]), self.times[number]
            for _ in range(2):
                now += PART
                self._do(state, ops.Heartbeat(SESSIONS[survivor], floor, 0), now)
            after = self._expired[key] = self._number(state, now + PART)
        return after

    def _run(self, number: int, session: int, command: Command) -> Result:
        before, now = self.states[number], self.times[number]
        state = clone(before)
        outcome = self._do(state, _operation(before, SESSIONS[session], command), now)
        _check_step(before, state)
        reply = outcome.reply
        own = _told(state, session, getattr(reply, "grants", ()))
        hints = tuple(
            _told(state, index, [grant for to, grant in outcome.hints if to == name])
            for index, name in enumerate(SESSIONS)
        )
        after = self._number(state, now)
        old, new = self.facts[number].there, self.facts[after].there
        return Result(
            number=len(self._results),
            state=after,
            reply=Reply(reply.status, own),
            hints=hints,
            came=tuple(n & ~o for o, n in zip(old, new, strict=True)),
            went=tuple(o & ~n for o, n in zip(old, new, strict=True)),
        )

    def _number(self, state: State, now: int) -> int:
        """Of a state that may be new; then it must keep the invariants."""
        key = (now, canonical(state))
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.states)
            self.states.append(state)
            self.times.append(now)
            invariants.check(full_dump(state))
            held = _bits([request for request, _ in state.holders()])
            live = sum(1 << i for i, name in enumerate(SESSIONS) if name in state.sessions)
            self.facts.append(Facts(held, _bits([*state.requests.values()]), live))
        return number


def clone(state: State) -> State:
    """A copy that one script may change; what counts finished work begins anew."""
    other = copy(state)
    other.sessions = {name: copy(session) for name, session in state.sessions.items()}
    other.requests = {rid: copy(request) for rid, request in state.requests.items()}
    other.tombstones = set(state.tombstones)
    other.unsettled = dict(state.unsettled)
    other.costs, other.tallies, other.freed = {}, {}, []
    return other


def canonical(state: State) -> tuple[Any, ...]:
    """What the state's future depends on."""
    waiting = sorted(state.waiting(), key=lambda request: request.seq)
    return (
        tuple(request.rid for request in waiting),
        frozenset((request.rid, lease.slot) for request, lease in state.holders()),
        frozenset(
            (name, row.floor, row.deadline - state.vnow > PART)
            for name, row in state.sessions.items()
        ),
        frozenset(state.tombstones),
    )


def full_dump(state: State) -> Dump:
    """The model keeps no index: here all who wait stand in one bucket."""
    rows, loads = dump(state), state.loads()
    members = {
        b"0001%012d%016d%016d%b" % (load.tick, 9 * 10**15 - load.q, load.seq, agent): 0.0
        for agent, load in loads.items()
    }
    oldest = min((load.tick for load in loads.values()), default=0)
    return replace(rows, index=members, buckets={b"0001": float(oldest)} if members else {})


def _check_step(before: State, after: State) -> None:
    """Tokens rise, clocks do not fall; what is held is not granted again; each grant is counted."""
    made: Counter[str] = Counter()
    for request, lease in after.holders():
        row = before.requests.get(request.rid)
        if row is None or row.lease is None:
            made[request.session] += 1
            if lease.token <= before.fence:
                raise Violation(f"the token of {request.rid} does not rise")
        elif row.lease.token != lease.token:
            raise Violation(f"{request.rid} is granted twice")
    for name in before.sessions.keys() & after.sessions.keys():
        # More, where one was made and given back in this very script.
        if after.sessions[name].delivered - before.sessions[name].delivered < made[name]:
            raise Violation(f"{made[name]} grants are made to {name}, and not counted")
    if after.vnow < before.vnow or after.tick < before.tick or after.fence < before.fence:
        raise Violation("a clock or the fence falls")


def _told(state: State, session: int, grants: Any) -> tuple[int, ...]:
    """The sequences of grants, which must be what Redis has, if it still has them."""
    for grant in grants:
        assert isinstance(grant, Grant)
        request = state.requests.get(rid_of(SESSIONS[session], grant.sequence))
        lease = request.lease if request else None
        if lease and (lease.token, lease.slot) != (grant.token, grant.slot):
            raise Violation(f"{grant} is told, and is not so")
    return tuple(grant.sequence for grant in grants)


def _bits(requests: list[Request]) -> Bits:
    return tuple(
        sum(1 << sequence_of(row.rid) for row in requests if row.session == name)
        for name in SESSIONS
    )


def _operation(state: State, session: str, command: Command) -> ops.Op:
    verb, sequence, floor = command
    match verb:
        case "acquire":
            return ops.Acquire(session, floor, 0, sequence, session.encode(), 1000)
        case "release":
            request = state.requests.get(rid_of(session, sequence))
            token = request.lease.token if request and request.lease else state.fence
            return ops.Release(session, floor, 0, sequence, token)
        case "cancel":
            return ops.Cancel(session, floor, 0, sequence)
        case "poll":
            return ops.Poll(session)
    return ops.Heartbeat(session, floor, 0)
