"""The verbs of requests and durable tasks: what each does between the upkeep and the grants.

Each function takes the turn and the operation and returns the reply of the script.
"""

from __future__ import annotations

from loco_redis import _replies as replies
from loco_redis._replies import Refusal, Status
from loco_redis.testing import model_pacing as pacing
from loco_redis.testing import ops
from loco_redis.testing.model_figures import attribute, record_wait, tally
from loco_redis.testing.model_grant import IMPLICIT_WEIGHT, charge, free, give_back, withdraw
from loco_redis.testing.model_money import (
    Plan,
    admit,
    decide,
    post,
    refund,
)
from loco_redis.testing.model_rules import features, is_capped, may_run, touch
from loco_redis.testing.model_rules import judge as judge_agent
from loco_redis.testing.model_state import (
    BOUND,
    DEAD,
    OPEN,
    RUNNING,
    DurableTask,
    Lease,
    Request,
    State,
    Terms,
    rid_of,
    tenant_of,
)
from loco_redis.testing.model_turn import Turn


def submit(turn: Turn, op: ops.Submit) -> replies.RefusableReply:
    state = turn.state
    if not turn.enters(op):
        return replies.RefusableReply(Status.EXPIRED, turn.finish())
    rid = rid_of(op.session, op.sequence)
    if not turn.is_done(op) and rid not in state.tasks:
        plan = _plan(turn, op.agent, op.weight, op.given)
        if isinstance(plan, Refusal):
            _refuse(turn, op.agent, plan.policy, plan.facts)
            return replies.RefusableReply(Status.REFUSED, turn.finish(), plan)
        admit(state, turn.now, plan)
        state.seq += 1
        state.tasks[rid] = DurableTask(
            rid, state.seq, state.tick, op.weight, op.max_attempts, op.body, op.agent, plan.terms
        )
        touch(state, turn.now, op.agent)
        depth = state.loads()[op.agent].q
        turn.record("submitted", op.agent, id=rid, weight=op.weight, depth=depth)
        turn.bury(op)
    return replies.RefusableReply(Status.OK, turn.finish())


def _refuse(turn: Turn, agent: bytes, policy: str, facts: tuple[str, ...] = ()) -> None:
    """A task is not let in: counted, and in the log."""
    tally(turn.state, b"f", policy.encode(), 1)
    turn.record("refused", agent, why=policy, facts=" ".join(facts))


def _plan(turn: Turn, agent: bytes, weight: int, given: bytes) -> Plan | Refusal:
    """What letting the task in takes; where nothing is governed, what its client said."""
    if features(turn.state):
        return decide(turn.state, turn.now, agent, weight, given)
    cost, tokens, _ = given.split(b":", 2) if given else (b"", b"", b"")
    return Plan(agent, weight, int(cost or weight), int(tokens or 0), is_plain=not cost)


def acquire(turn: Turn, op: ops.Acquire) -> replies.AcquireReply:
    state, rid = turn.state, rid_of(op.session, op.sequence)
    if not turn.enters(op):
        return replies.AcquireReply(Status.EXPIRED, turn.finish())
    known, status, depth = state.requests.get(rid), Status.QUEUED, 0
    if known is None:
        answer = _ask(turn, op)
        if isinstance(answer, Refusal):
            _refuse(turn, op.agent, answer.policy, answer.facts)
            return replies.AcquireReply(Status.REFUSED, turn.finish(), refusal=answer)
        status = answer
        if status is Status.BACKPRESSURE:
            _refuse(turn, op.agent, "backpressure")
        if status is Status.QUEUED:
            depth = state.loads()[op.agent].q
    serial = turn.finish()
    if status is Status.QUEUED and state.requests[rid].lease:
        status = Status.GRANTED
    wake = turn.wake if status is Status.QUEUED else 0
    grants = turn.grants(op.session, known)
    return replies.AcquireReply(status, serial, state.tick, wake, depth / 1000, grants)


def _ask(turn: Turn, op: ops.Acquire) -> Status | Refusal:
    """Bound with its own weight; without one it serves a durable task, if one is left for it."""
    state, lane, weight = turn.state, BOUND, op.weight
    if turn.is_done(op):
        return Status.FINISHED
    if weight is None:
        left = len(state.queued_tasks(op.agent)) - len(state.lane(op.agent, OPEN))
        lane, weight = (OPEN, 0) if left > 0 else (BOUND, IMPLICIT_WEIGHT)
    plan = None if lane == OPEN else _plan(turn, op.agent, weight, op.given)
    if isinstance(plan, Refusal):
        return plan
    terms, most = plan.terms if plan else None, state.configured.max_waiters
    has_room = _has_room(state, op.agent, terms)
    if 0 <= most <= len(state.waiting()) and not has_room:
        return Status.BACKPRESSURE
    if plan:
        admit(state, turn.now, plan)
    state.seq += 1
    rid = rid_of(op.session, op.sequence)
    state.requests[rid] = Request(
        rid, lane, state.seq, state.tick, weight, turn.now, op.agent, terms
    )
    session = state.sessions[op.session]
    session.last = max(session.last, op.sequence)
    touch(state, turn.now, op.agent)
    if lane == OPEN or not has_room:
        depth = state.loads()[op.agent].q
        turn.record("submitted", op.agent, id=rid, weight=weight, depth=depth)
    return Status.QUEUED


def _has_room(state: State, agent: bytes, terms: Terms | None) -> bool:
    """Would a request be granted without waiting?"""
    tokens = terms.tokens if terms else 0
    loads = state.loads()
    return (
        len(state.holders()) < pacing.limit(state)
        and not is_capped(state, agent)
        and not pacing.pause(state)
        and not pacing.pause_for(state, tokens)
        and not any(may_run(state, name, load) for name, load in loads.items())
    )


def release(turn: Turn, op: ops.Release) -> replies.ReleaseReply:
    state = turn.state
    if not turn.enters(op):
        return replies.ReleaseReply(Status.EXPIRED, turn.finish())
    status, cost = Status.FINISHED, 0
    request, lease = _held(state, op.session, op.sequence, op.token)
    if request and lease:
        status, cost = Status.OK, _end(turn, request, lease, op)
        turn.bury(op)
    held = len(state.holders())
    serial, grants = turn.finish(), turn.grants(op.session)
    return replies.ReleaseReply(status, serial, state.tick, cost / 1000, held, grants)


def _end(turn: Turn, request: Request, lease: Lease, op: ops.Release) -> int:
    """The lease is over, its durable task served; what it cost."""
    state, cost = turn.state, lease.settled
    free(state, turn.now, request, lease)
    state.tick += 1
    if cost is None:
        whole = lease.terms.cost if lease.terms else lease.weight
        cost = whole if op.charge else 0
        refund(state, turn.now, request.agent, lease.terms, spent=cost)
        charge(state, request.agent, cost)
        attribute(state, request.agent, op.labels, cost)
    tally(state, b"wait", op.cell.encode() + request.agent, 1)
    if lease.task:
        del state.tasks[lease.task]
    state.released += 1
    facts = {"slot": lease.slot, "token": lease.token, "held": len(state.holders())}
    turn.record("released", request.agent, id=request.rid, cost=cost, **facts)
    judge_agent(state, turn.now, request.agent, "success" if op.charge else "error", lease.waited)
    record_wait(state, lease.waited)
    if op.charge:
        pacing.recover(state, lease.token)
    if state.configured.auto_tune:
        pacing.adapt_alpha(state)
    return cost


def cancel(turn: Turn, op: ops.Cancel) -> replies.GrantsReply:
    state = turn.state
    if not turn.enters(op):
        return replies.GrantsReply(Status.EXPIRED, turn.finish())
    request = state.requests.get(rid_of(op.session, op.sequence))
    if request:
        facts = {"state": "G" if request.lease else "W", "late": int(op.is_late)}
        turn.record("cancelled", request.agent, id=request.rid, **facts)
    if request and op.is_late:
        tally(state, b"f", b"timeout", 1)
        judge_agent(state, turn.now, request.agent, "timeout", 0)
    if request and request.lease:
        give_back(state, turn.now, request, request.lease)
    elif request:
        withdraw(state, turn.now, request)
    turn.bury(op)
    status = Status.OK if request else Status.FINISHED
    return replies.GrantsReply(status, turn.finish(), turn.grants(op.session))


def settle(turn: Turn, op: ops.Settle) -> replies.SettleReply:
    state = turn.state
    request, lease = _held(state, op.session, op.sequence, op.token)
    status, cost = Status.FINISHED, 0
    if request and lease:
        status, cost = Status.OK, op.cost
        _settle(turn, request, lease, op)
    elif op.token in state.unsettled:
        status, cost = Status.LATE, op.cost
        terms, agent = state.unsettled.pop(op.token)
        charge(state, agent, op.cost)
        attribute(state, agent, op.labels, op.cost)
        flags = terms.flags
        if b"t" + (tenant_of(agent) or b"") not in state.rules:
            flags = flags.replace("t", "")
        post(state, turn.now, agent, flags, spent=op.cost, unsettled=-terms.cost)
    return replies.SettleReply(status, turn.finish(), cost / 1000)


def _settle(turn: Turn, request: Request, lease: Lease, op: ops.Settle) -> None:
    state, terms = turn.state, lease.terms or Terms(lease.weight, 0)
    more = op.cost - (lease.settled or 0)
    reserved = terms.cost if lease.settled is None else 0
    charge(state, request.agent, more)
    attribute(state, request.agent, op.labels, more)
    post(state, turn.now, request.agent, terms.flags, reserved=-reserved, spent=more)
    lease.settled = op.cost
    if op.tokens is not None:
        pacing.correct_tokens(state, terms.tokens, op.tokens)
        lease.terms = terms._replace(tokens=op.tokens)


def _held(
    state: State, session: str, sequence: int, token: int
) -> tuple[Request, Lease] | tuple[None, None]:
    """The granted request of that id and token."""
    request = state.requests.get(rid_of(session, sequence))
    if request and request.lease and request.lease.token == token:
        return request, request.lease
    return None, None


def cancel_task(turn: Turn, op: ops.CancelTask) -> replies.GrantsReply:
    if not turn.enters(op):
        return replies.GrantsReply(Status.EXPIRED, turn.finish())
    status = Status.OK
    if not turn.is_done(op):
        status = _drop_task(turn, op.task_id)
        if status is Status.OK:
            turn.bury(op)
    return replies.GrantsReply(status, turn.finish(), turn.grants(op.session))


def _drop_task(turn: Turn, task_id: str) -> Status:
    state = turn.state
    task = state.tasks.get(task_id)
    if task is None:
        return Status.UNKNOWN_TASK
    if task.state == RUNNING:
        return Status.TASK_RUNNING
    del state.tasks[task_id]
    if task.state == DEAD:
        return Status.OK
    refund(state, turn.now, task.agent, task.terms)
    pulling = state.lane(task.agent, OPEN)
    if len(pulling) > len(state.queued_tasks(task.agent)):
        pulling[-1].lane, pulling[-1].weight = BOUND, IMPLICIT_WEIGHT
    touch(state, turn.now, task.agent)
    return Status.OK
