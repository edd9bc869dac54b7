"""The reference model: `lua/README.md` in plain Python, one short function for each verb.

    state = State()
    outcome = step(state, ops.Open("a" * 16, seen=0, capacity=3), now=1_000_000)
    outcome.reply.status        # Status.OK

`step` is what one run of a script does, `now` being its TIME in microseconds. It changes `state` in
place (`copy.deepcopy` keeps an earlier one) and returns the decoded reply together with the hints.
It is written to be read and to be compared with, not to be fast.

| module | what |
|---|---|
| `model_state` | what is kept, and what follows from it |
| `model_grant` | the choice, the grant, the ends of a lease |
| `model_tasks` | the life of a durable task |
| `model_rules`, `model_money`, `model_pacing`, `model_figures` | governance |
| `model_turn` | what every writing script does around its verb |
| `model_verbs`, `model_sessions`, `model_governing`, `model_operator`, `model_reads` | the verbs |
| `model_events` | the decision log |
| `model_dump` | the state as Redis holds it |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from loco_redis._replies import (
    AcquireReply,
    CloseReply,
    CompleteReply,
    Grant,
    GrantsReply,
    HeartbeatReply,
    ReapReply,
    ReconfigureReply,
    RefusableReply,
    ReleaseReply,
    Reply,
    ResultReply,
    SettleReply,
    Status,
    SubmitReply,
    ThrottleReply,
)
from loco_redis.testing import (
    model_governing,
    model_operator,
    model_reads,
    model_sessions,
    model_verbs,
    ops,
)
from loco_redis.testing.model_state import State
from loco_redis.testing.model_turn import Hint, Turn

NAME = "model"
_SILENT = (Status.EXPIRED, Status.REFUSED, Status.AGENT_BUSY)  # replies without grants


class Outcome(NamedTuple):
    """The decoded reply (of `several`: the list of them), and the hints published, in order: to a
    session its grant, when to look again (on the lease clock), `gone`, or `done|` and a task."""

    reply: Any
    hints: tuple[Hint, ...] = ()


_VERBS: dict[type[ops.Op], tuple[Callable[[Turn, Any], Reply], type[Reply]]] = {
    ops.Heartbeat: (model_sessions.heartbeat, HeartbeatReply),
    ops.Submit: (model_verbs.submit, SubmitReply),
    ops.Acquire: (model_verbs.acquire, AcquireReply),
    ops.Serve: (model_verbs.serve, AcquireReply),
    ops.Release: (model_verbs.release, ReleaseReply),
    ops.Complete: (model_verbs.complete, CompleteReply),
    ops.Result: (model_verbs.result, ResultReply),
    ops.Cancel: (model_verbs.cancel, GrantsReply),
    ops.Settle: (model_verbs.settle, SettleReply),
    ops.CancelTask: (model_verbs.cancel_task, GrantsReply),
    ops.Evict: (model_operator.evict, GrantsReply),
    ops.Requeue: (model_operator.requeue, GrantsReply),
    ops.Register: (model_sessions.register, RefusableReply),
    ops.Unregister: (model_sessions.unregister, Reply),
    ops.Reconfigure: (model_sessions.reconfigure, ReconfigureReply),
    ops.Close: (model_sessions.close, CloseReply),
    ops.Reap: (model_sessions.reap, ReapReply),
    ops.Throttle: (model_governing.throttle, ThrottleReply),
    ops.Govern: (model_governing.govern, GrantsReply),
    ops.Spend: (model_governing.spend, Reply),
    ops.Judge: (model_governing.judge, Reply),
    ops.Tally: (model_governing.count, Reply),
}


def step(state: State, op: ops.Op, now: int, name: str = NAME) -> Outcome:
    """Run one operation at `now` on `state`, which is changed; `name` is the scheduler's."""
    match op:
        case ops.Poll():
            return Outcome(model_reads.poll(state, op))
        case ops.Agent():
            return Outcome(model_reads.agent(state, op))
        case ops.Check():
            return Outcome(model_governing.check(state, op, now))
        case ops.Standing():
            return Outcome(model_governing.standing(state, op, now))
        case ops.Snapshot():
            return Outcome(model_reads.snapshot(state, op, now, name))
        case ops.Open():
            return _open(state, op, now)
        case ops.Several():
            return _several(state, op, now)
    verb, reply = _VERBS[type(op)]
    if state.config is None:
        return Outcome(reply(Status.EXPIRED, 0))
    return _run(Turn(state, now), op, verb)


def _open(state: State, op: ops.Open, now: int) -> Outcome:
    refused = model_sessions.refusal(state, op)
    if refused:
        return Outcome(refused)
    if state.config is None:
        model_sessions.configure(state, op, now)
    return _run(Turn(state, now), op, model_sessions.open_)


def _several(state: State, op: ops.Several, now: int) -> Outcome:
    """Each step is what its script does, at the same moment; only reaping happens once."""
    replies: list[Reply] = []
    hints: list[Hint] = []
    for at, step in enumerate(op.steps):
        verb, reply = _VERBS[type(step)]
        if state.config is None:
            replies.append(reply(Status.EXPIRED, 0))
            continue
        turn = Turn(state, now)
        if at == 0:
            turn.advance_clock()
            turn.reap()
            turn.ring()
        step = replace(step, floor=op.floor, seen=op.seen)
        replies.append(verb(turn, step))
        hints += _hints(turn, step, replies[-1])
    return Outcome(replies, tuple(hints))


def _run(turn: Turn, op: ops.Op, verb: Callable[[Turn, Any], Reply]) -> Outcome:
    turn.advance_clock()
    turn.reap()
    turn.ring()
    reply = verb(turn, op)
    return Outcome(reply, _hints(turn, op, reply))


def _hints(turn: Turn, op: ops.Op, reply: Reply) -> tuple[Hint, ...]:
    """To other sessions as they are granted, to any as it loses something, then when to look again,
    then what the reply of the caller does not tell it."""
    caller = getattr(op, "session", None)
    own = [hint for hint in turn.hints if hint[0] == caller and isinstance(hint[1], Grant)]
    hints = [hint for hint in turn.hints if hint not in own]
    if turn.woken:
        hints.append(turn.woken)
    if not hasattr(reply, "grants") or reply.status in _SILENT:
        hints += own
    return tuple(hints)
