"""The verbs of governance: rules, pauses, money and trust by hand, figures, and their readers.

Each function takes the turn and the operation and returns the reply of the script; the last two
read only.
"""

from __future__ import annotations

from copy import deepcopy

from loco_redis import _replies as replies
from loco_redis._replies import Refusal, Status
from loco_redis.testing import model_pacing as pacing
from loco_redis.testing import ops
from loco_redis.testing.model_figures import add_entries, record_wait
from loco_redis.testing.model_money import account_of, decide, limit_of, record_over
from loco_redis.testing.model_money import standing as standing_of
from loco_redis.testing.model_rules import changes_of
from loco_redis.testing.model_rules import govern as change_rules
from loco_redis.testing.model_rules import judge as judge_agent
from loco_redis.testing.model_state import State
from loco_redis.testing.model_turn import Turn


def govern(turn: Turn, op: ops.Govern) -> replies.GrantsReply:
    state = turn.state
    if not turn.enters(op):
        return replies.GrantsReply(Status.EXPIRED, turn.finish())
    if not turn.is_done(op):
        changes = changes_of(op)
        if not change_rules(state, turn.now, changes):
            return replies.GrantsReply(Status.AGENT_BUSY, turn.finish())
        turn.record("governed", by=op.session, rules=b"\x1f".join(sorted(changes)))
        turn.bury(op)
    return replies.GrantsReply(Status.OK, turn.finish(), turn.grants(op.session))


def throttle(turn: Turn, op: ops.Throttle) -> replies.ThrottleReply:
    state = turn.state
    if not turn.enters(op):
        return replies.ThrottleReply(Status.EXPIRED, turn.finish())
    if not turn.is_done(op):
        pacing.throttle(state, op.token, op.pause)
        turn.record("throttled", pause=op.pause, limit=pacing.limit(state), token=op.token)
        turn.bury(op)
    left, limit = max(state.hold - state.vnow, 0), pacing.limit(state)
    return replies.ThrottleReply(Status.OK, turn.finish(), left / 1e6, limit)


def spend(turn: Turn, op: ops.Spend) -> replies.Reply:
    state = turn.state
    if not turn.enters(op):
        return replies.Reply(Status.EXPIRED, turn.finish())
    if not turn.is_done(op):
        turn.bury(op)
        every = [name for name in state.accounts if name[:1] == b"a"]
        for name in [op.scope] if op.scope else every:
            limit, _, period = limit_of(state, name)
            account = account_of(state, name, turn.now, None if limit is None else period)
            if op.cost is None:
                account.spent = account.unsettled = account.over = 0
            else:
                account.spent += op.cost
            record_over(state, name, account)
            state.accounts[name] = account
    return replies.Reply(Status.OK, turn.finish())


def judge(turn: Turn, op: ops.Judge) -> replies.Reply:
    if not turn.enters(op):
        return replies.Reply(Status.EXPIRED, turn.finish())
    if not turn.is_done(op):
        turn.bury(op)
        if op.signal == "wait":
            record_wait(turn.state, op.waited)
        else:
            judge_agent(turn.state, turn.now, op.agent, op.signal, op.waited)
    return replies.Reply(Status.OK, turn.finish())


def count(turn: Turn, op: ops.Tally) -> replies.Reply:
    if not turn.enters(op):
        return replies.Reply(Status.EXPIRED, turn.finish())
    if not turn.is_done(op):
        turn.bury(op)
        add_entries(turn.state, op.entries)
    return replies.Reply(Status.OK, turn.finish())


def check(state: State, op: ops.Check, now: int) -> replies.RefusableReply:
    """Would it be let in? Writes nothing."""
    if state.config is None:
        return replies.RefusableReply(Status.UNCONFIGURED, 0)
    plan = decide(deepcopy(state), now, op.agent, op.weight, op.given)
    if isinstance(plan, Refusal):
        return replies.RefusableReply(Status.REFUSED, state.serial, plan)
    return replies.RefusableReply(Status.OK, state.serial)


def standing(state: State, op: ops.Standing, now: int) -> replies.StandingReply:
    if state.config is None:
        return replies.StandingReply(Status.UNCONFIGURED, 0)
    scopes, rest = [], op.scopes
    while rest:
        length, _, rest = rest.partition(b"|")
        scopes.append(rest[: int(length)])
        rest = rest[int(length) :]
    if not op.scopes:
        scopes = sorted(state.accounts)
    rows = tuple(standing_of(state, now, scope) for scope in scopes)
    return replies.StandingReply(Status.OK, state.serial, rows)
