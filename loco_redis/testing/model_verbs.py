"""The verbs of requests and durable tasks: what each does between the upkeep and the grants.

Each function takes the turn and the operation and returns the reply of the script.
"""

from __future__ import annotations

from itertools import chain

from loco_redis import _replies as replies
from loco_redis._replies import Refusal, Status
from loco_redis.testing import model_pacing as pacing
from loco_redis.testing import ops
from loco_redis.testing.model_figures import attribute, record_wait, tally
from loco_redis.testing.model_grant import charge, free, give_back, withdraw
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
    LATER,
    OPEN,
    QUEUED,
    RUNNING,
    SERVER,
    DurableTask,
    Lease,
    Order,
    Request,
    State,
    Terms,
    rid_of,
    tenant_of,
)
from loco_redis.testing.model_tasks import (
    IMPLICIT_WEIGHT,
    complete_task,
    drop_queued,
    forget_order,
    order,
    put_back,
    set_alarm,
)
from loco_redis.testing.model_turn import Turn


def submit(turn: Turn, op: ops.Submit) -> replies.SubmitReply:
    state = turn.state
    if not turn.enters(op):
        return replies.SubmitReply(Status.EXPIRED, turn.finish())
    rid = rid_of(op.session, op.sequence)
    if turn.is_done(op) or rid in state.tasks:
        return replies.SubmitReply(Status.OK, turn.finish(), None, rid)
    start, given = _order(turn, op.order)
    if given and given.key in state.keys:
        return replies.SubmitReply(Status.OK, turn.finish(), None, state.keys[given.key])
    plan = _full(state, op) or _plan(turn, op.agent, op.weight, op.given)
    if isinstance(plan, Refusal):
        _refuse(turn, op.agent, plan.policy, plan.facts)
        return replies.SubmitReply(Status.REFUSED, turn.finish(), plan)
    admit(state, turn.now, plan)
    state.seq += 1
    task = state.tasks[rid] = DurableTask(
        rid, state.seq, state.tick, op.weight, op.max_attempts, op.body, op.agent, plan.terms
    )
    if given:
        order(state, rid, given)
    if start > turn.now:
        task.state, task.due = LATER, start
        set_alarm(state, start)
    else:
        touch(state, turn.now, op.agent)
    depth = state.depth(op.agent)
    turn.record("submitted", op.agent, id=rid, weight=op.weight, depth=depth)
    turn.bury(op)
    serial = turn.finish()
    return replies.SubmitReply(Status.OK, serial, None, rid, turn.wake(op.session, is_own=True))


def _order(turn: Turn, packed: bytes) -> tuple[int, Order | None]:
    """When a task may start, and the rest of what is said of it."""
    if not packed:
        return 0, None
    start, deadline, ttl, key = packed.split(b"|", 3)

    def at(time: bytes) -> int:
        return int(time or 0) + (turn.now if time[:1] == b"+" else 0)

    return at(start), Order(at(deadline), int(ttl), key)


def _full(state: State, op: ops.Submit) -> Refusal | None:
    """There may be no more of it."""
    too_deep = _too_deep(state, op.agent, op.weight)
    if too_deep:
        return too_deep
    if len(state.tasks) >= state.limits.tasks:
        return Refusal("full", ("tasks", str(state.limits.tasks)))
    facts = ((o.why is not None, o.result is not None, o.asking) for o in state.orders.values())
    fields = len(state.orders) + len(state.keys) + sum(map(bool, chain.from_iterable(facts)))
    if op.order and fields >= state.limits.orders:
        return Refusal("full", ("orders", str(state.limits.orders)))
    return None


def _too_deep(state: State, agent: bytes, weight: int) -> Refusal | None:
    """More weight than an agent may have queued."""
    if state.depth(agent) + weight <= state.limits.depth:
        return None
    return Refusal("full", ("weight", str(state.limits.depth)))


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
            depth = state.depth(op.agent)
    serial = turn.finish()
    if status is Status.QUEUED and state.requests[rid].lease:
        status = Status.GRANTED
    wake = turn.until_given if status is Status.QUEUED else 0
    grants = turn.grants(op.session, known)
    return replies.AcquireReply(status, serial, state.tick, wake, depth / 1000, grants)


def serve(turn: Turn, op: ops.Serve) -> replies.AcquireReply:
    state, rid = turn.state, rid_of(op.session, op.sequence)
    if not turn.enters(op):
        return replies.AcquireReply(Status.EXPIRED, turn.finish())
    known, status = state.requests.get(rid), Status.QUEUED
    if known is None:
        if turn.is_done(op):
            status = Status.FINISHED
        elif len(state.waiting()) >= state.limits.waiters:
            status = Status.BACKPRESSURE
        else:
            state.seq += 1
            state.requests[rid] = Request(
                rid, SERVER, state.seq, state.tick, 0, turn.now, agent=b""
            )
            session = state.sessions[op.session]
            session.last = max(session.last, op.sequence)
    serial = turn.finish()
    if status is Status.QUEUED and state.requests[rid].lease:
        status = Status.GRANTED
    wake = turn.wake(op.session) if status is Status.QUEUED else 0
    grants = turn.grants(op.session, known)
    return replies.AcquireReply(status, serial, state.tick, wake, 0.0, grants)


def _ask(turn: Turn, op: ops.Acquire) -> Status | Refusal:
    """Bound with its own weight; without one it serves a durable task, if one is left for it."""
    state, lane, weight = turn.state, BOUND, op.weight
    if turn.is_done(op):
        return Status.FINISHED
    if weight is None:
        left = len(state.queued_tasks(op.agent)) - len(state.lane(op.agent, OPEN))
        lane, weight = (OPEN, 0) if left > 0 else (BOUND, IMPLICIT_WEIGHT)
    plan: Plan | Refusal | None = _too_deep(state, op.agent, weight)
    if plan is None and lane != OPEN:
        plan = _plan(turn, op.agent, weight, op.given)
    if isinstance(plan, Refusal):
        return plan
    terms, most = plan.terms if plan else None, state.configured.max_waiters
    most = min(most, state.limits.waiters) if most >= 0 else state.limits.waiters
    has_room = _has_room(state, op.agent, terms)
    if most <= len(state.waiting()) - len(state.servers()) and not has_room:
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
        depth = state.depth(op.agent)
        turn.record("submitted", op.agent, id=rid, weight=weight, depth=depth)
    return Status.QUEUED


def _has_room(state: State, agent: bytes, terms: Terms | None) -> bool:
    """Would a request be granted without waiting?"""
    tokens = terms.tokens if terms else 0
    return (
        len(state.holders()) < pacing.limit(state)
        and not is_capped(state, agent)
        and not pacing.pause(state)
        and not pacing.pause_for(state, tokens)
        and not any(may_run(state, name, load) for name, load in state.loads().items())
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


def complete(turn: Turn, op: ops.Complete) -> replies.CompleteReply:
    state = turn.state
    if not turn.enters(op):
        return replies.CompleteReply(Status.EXPIRED, turn.finish())
    status, cost = Status.FINISHED, 0
    request, lease = _held(state, op.session, op.sequence, op.token)
    if request and lease:
        status, cost = Status.OK, _end(turn, request, lease, op)
        turn.bury(op)
    held = len(state.holders())
    serial, grants = turn.finish(), turn.grants(op.session)
    return replies.CompleteReply(
        status, serial, state.tick, cost / 1000, held, grants, turn.wake(op.session, is_own=True)
    )


def _end(turn: Turn, request: Request, lease: Lease, op: ops.Release) -> int:
    """The lease is over, its durable task served unless the outcome is another; what it cost."""
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
    if lease.task and getattr(op, "outcome", "c") == "c":
        complete_task(state, turn.now, lease.task, getattr(op, "value", b""))
    elif lease.task and isinstance(op, ops.Complete):
        _put_off(turn, state.tasks[lease.task], op)
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


def _put_off(turn: Turn, task: DurableTask, op: ops.Complete) -> None:
    """It failed, or nobody here wants to try."""
    state = turn.state
    given = state.orders.setdefault(task.rid, Order())
    if op.outcome == "p":
        task.attempt -= 1
    else:
        given.why = b"f" + op.value
    put_back(state, turn.now, task, op.delay, b"f" + op.value)


def result(turn: Turn, op: ops.Result) -> replies.ResultReply:
    state = turn.state
    if not turn.enters(op):
        return replies.ResultReply(Status.EXPIRED, turn.finish())
    task, given = state.tasks.get(op.task_id), state.orders.get(op.task_id)
    if task is None:
        if given is None or given.result is None:
            return replies.ResultReply(Status.UNKNOWN_TASK, turn.finish())
        return replies.ResultReply(Status.OK, turn.finish(), "c", given.result)
    if task.state == DEAD:
        why = (given.why if given else None) or b"h"
        return replies.ResultReply(Status.OK, turn.finish(), why[:1].decode(), why[1:])
    if given is None or not given.ttl:
        return replies.ResultReply(Status.NO_RESULT, turn.finish())
    if op.session not in given.asking:
        if sum(len(name) + 1 for name in given.asking) > state.limits.text:
            return replies.ResultReply(Status.BACKPRESSURE, turn.finish())
        given.asking.append(op.session)
    return replies.ResultReply(Status.QUEUED, turn.finish())


def cancel(turn: Turn, op: ops.Cancel) -> replies.GrantsReply:
    state = turn.state
    if not turn.enters(op):
        return replies.GrantsReply(Status.EXPIRED, turn.finish())
    request = state.requests.get(rid_of(op.session, op.sequence))
    if request:
        facts = {"state": "G" if request.lease else "W", "late": int(op.is_late)}
        turn.record("cancelled", request.agent, id=request.rid, **facts)
    if request and op.is_late and request.lane != SERVER:
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
    if task.state != DEAD:
        refund(state, turn.now, task.agent, task.terms)
    if task.state == QUEUED:
        drop_queued(state, turn.now, task)
    if task_id in state.orders:
        forget_order(state, task_id)
    return Status.OK
