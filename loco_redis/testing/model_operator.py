"""The verbs of an operator: ending one request, giving a dead task another chance.

Each function takes the turn and the operation and returns the reply of the script.
"""

from __future__ import annotations

from loco_redis import _replies as replies
from loco_redis._replies import Status
from loco_redis.testing import ops
from loco_redis.testing.model_grant import reclaim, withdraw
from loco_redis.testing.model_state import DEAD, Request, sequence_of
from loco_redis.testing.model_tasks import order
from loco_redis.testing.model_tasks import requeue as queue_again
from loco_redis.testing.model_turn import GONE, Turn


def evict(turn: Turn, op: ops.Evict) -> replies.GrantsReply:
    if not turn.enters(op):
        return replies.GrantsReply(Status.EXPIRED, turn.finish())
    status = Status.OK
    if not turn.is_done(op):
        request = turn.state.requests.get(op.target)
        if request:
            _end(turn, request, op.session)
            turn.bury(op)
        else:
            status = Status.FINISHED
    return replies.GrantsReply(status, turn.finish(), turn.grants(op.session))


def _end(turn: Turn, request: Request, by: str) -> None:
    """What closing its session would do to it; the owner is told and cannot revive it."""
    state, owner, lease = turn.state, turn.state.sessions[request.session], request.lease
    facts = {"state": "G" if lease else "W", "token": lease.token if lease else 0, "by": by}
    turn.record("evicted", request.agent, id=request.rid, **facts)
    if lease:
        reclaim(state, turn.now, request, lease)
    else:
        withdraw(state, turn.now, request)
    owner.delivered += 1
    if sequence_of(request.rid) >= owner.floor:
        state.tombstones.add(request.rid)
    turn.tell_results()
    turn.hints.append((request.session, GONE))


def requeue(turn: Turn, op: ops.Requeue) -> replies.GrantsReply:
    if not turn.enters(op):
        return replies.GrantsReply(Status.EXPIRED, turn.finish())
    status = Status.OK
    if not turn.is_done(op):
        status = _revive(turn, op.task_id)
        if status is Status.OK:
            turn.bury(op)
    return replies.GrantsReply(status, turn.finish(), turn.grants(op.session))


def _revive(turn: Turn, task_id: str) -> Status:
    task = turn.state.tasks.get(task_id)
    if task is None:
        return Status.UNKNOWN_TASK
    if task.state != DEAD:
        return Status.TASK_ALIVE
    task.attempt = task.died = 0
    if given := turn.state.orders.get(task_id):
        given.why = None
        given.deadline = given.deadline if given.deadline > turn.now else 0
        order(turn.state, task_id, given)
    queue_again(turn.state, turn.now, task)
    return Status.OK
