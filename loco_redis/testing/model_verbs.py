"""The verbs of requests and durable tasks: what each does between the upkeep and the grants.

Each function takes the turn and the operation and returns the reply of the script.
"""

from __future__ import annotations

from loco_redis import _replies as replies
from loco_redis._replies import Status
from loco_redis.testing import ops
from loco_redis.testing.model_grant import IMPLICIT_WEIGHT, charge, free, give_back, withdraw
from loco_redis.testing.model_state import (
    BOUND,
    DEAD,
    OPEN,
    RUNNING,
    DurableTask,
    Lease,
    Request,
    State,
    rid_of,
)
from loco_redis.testing.model_turn import Turn


def submit(turn: Turn, op: ops.Submit) -> replies.Reply:
    state = turn.state
    if not turn.enters(op):
        return replies.Reply(Status.EXPIRED, turn.finish())
    rid = rid_of(op.session, op.sequence)
    if not turn.is_done(op) and rid not in state.tasks:
        state.seq += 1
        state.tasks[rid] = DurableTask(
            rid, state.seq, state.tick, op.weight, op.max_attempts, op.body, op.agent
        )
        turn.bury(op)
    return replies.Reply(Status.OK, turn.finish())


def acquire(turn: Turn, op: ops.Acquire) -> replies.AcquireReply:
    state = turn.state
    if not turn.enters(op):
        return replies.AcquireReply(Status.EXPIRED, turn.finish())
    rid = rid_of(op.session, op.sequence)
    known = state.requests.get(rid)
    status = Status.QUEUED
    if known is None:
        status = _admit(turn, op)
    if status is Status.QUEUED and known is None:
        _enqueue(state, rid, op)
        session = state.sessions[op.session]
        session.last = max(session.last, op.sequence)
    serial = turn.finish()
    if status is Status.QUEUED and state.requests[rid].lease:
        status = Status.GRANTED
    return replies.AcquireReply(status, serial, state.tick, turn.grants(op.session, known))


def _admit(turn: Turn, op: ops.Acquire) -> Status:
    state = turn.state
    limit = state.configured.max_waiters
    is_full = len(state.holders()) >= state.configured.capacity
    if turn.is_done(op):
        return Status.FINISHED
    if is_full and 0 <= limit <= len(state.waiting()):
        return Status.BACKPRESSURE
    return Status.QUEUED


def _enqueue(state: State, rid: str, op: ops.Acquire) -> None:
    """Bound with its own weight; without one it serves a durable task, if one is left for it."""
    lane, weight = BOUND, op.weight
    if weight is None:
        left = len(state.queued_tasks(op.agent)) - len(state.lane(op.agent, OPEN))
        lane, weight = (OPEN, 0) if left > 0 else (BOUND, IMPLICIT_WEIGHT)
    state.seq += 1
    state.requests[rid] = Request(rid, lane, state.seq, state.tick, weight, op.agent)


def release(turn: Turn, op: ops.Release) -> replies.ReleaseReply:
    state = turn.state
    if not turn.enters(op):
        return replies.ReleaseReply(Status.EXPIRED, turn.finish())
    status, cost = Status.FINISHED, 0
    request, lease = _held(state, op.session, op.sequence, op.token)
    if request and lease:
        status, cost = Status.OK, _end(state, request, lease, op.charge)
        turn.bury(op)
    serial = turn.finish()
    return replies.ReleaseReply(status, serial, state.tick, cost / 1000, turn.grants(op.session))


def _end(state: State, request: Request, lease: Lease, is_charged: bool) -> int:
    """The lease is over, its durable task served; what it cost."""
    cost = lease.settled
    if cost is None:
        cost = lease.weight if is_charged else 0
        charge(state, request.agent, cost)
    free(state, request, lease)
    if lease.task:
        del state.tasks[lease.task]
    state.tick += 1
    state.released += 1
    return cost


def cancel(turn: Turn, op: ops.Cancel) -> replies.GrantsReply:
    state = turn.state
    if not turn.enters(op):
        return replies.GrantsReply(Status.EXPIRED, turn.finish())
    request = state.requests.get(rid_of(op.session, op.sequence))
    if request and request.lease:
        give_back(state, request, request.lease)
    elif request:
        withdraw(state, request)
    turn.bury(op)
    status = Status.OK if request else Status.FINISHED
    return replies.GrantsReply(status, turn.finish(), turn.grants(op.session))


def settle(turn: Turn, op: ops.Settle) -> replies.SettleReply:
    state = turn.state
    request, lease = _held(state, op.session, op.sequence, op.token)
    status, cost = Status.FINISHED, 0
    if request and lease:
        status, cost = Status.OK, op.cost
        charge(state, request.agent, op.cost - (lease.settled or 0))
        lease.settled = op.cost
    elif op.token in state.unsettled:
        status, cost = Status.LATE, op.cost
        _, agent = state.unsettled.pop(op.token)
        charge(state, agent, op.cost)
    return replies.SettleReply(status, turn.finish(), cost / 1000)


def _held(
    state: State, session: str, sequence: int, token: int
) -> tuple[Request, Lease] | tuple[None, None]:
    """The granted request of that id and token."""
    request = state.requests.get(rid_of(session, sequence))
    if request and request.lease and request.lease.token == token:
        return request, request.lease
    return None, None


def cancel_task(turn: Turn, op: ops.CancelTask) -> replies.GrantsReply:
    state = turn.state
    if not turn.enters(op):
        return replies.GrantsReply(Status.EXPIRED, turn.finish())
    status = Status.OK
    if not turn.is_done(op):
        status = _drop_task(state, op.task_id)
        if status is Status.OK:
            turn.bury(op)
    return replies.GrantsReply(status, turn.finish(), turn.grants(op.session))


def _drop_task(state: State, task_id: str) -> Status:
    task = state.tasks.get(task_id)
    if task is None:
        return Status.UNKNOWN_TASK
    if task.state == RUNNING:
        return Status.TASK_RUNNING
    del state.tasks[task_id]
    pulling = state.lane(task.agent, OPEN)
    if task.state != DEAD and len(pulling) > len(state.queued_tasks(task.agent)):
        pulling[-1].lane, pulling[-1].weight = BOUND, IMPLICIT_WEIGHT
    return Status.OK
