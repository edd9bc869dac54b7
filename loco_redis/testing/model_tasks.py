"""The life of a durable task: delayed, queued, put back, done or dead; who asks for its result."""

from __future__ import annotations

from loco_redis.testing.model_events import record
from loco_redis.testing.model_money import refund, reserve
from loco_redis.testing.model_rules import touch
from loco_redis.testing.model_state import (
    BOUND,
    DEAD,
    LATER,
    OPEN,
    QUEUED,
    DurableTask,
    Order,
    State,
)

IMPLICIT_WEIGHT = 1000
RINGS = 32  # what one script does of all that is due


def set_alarm(state: State, at: int) -> None:
    """Something is due at this TIME."""
    state.alarm = min(state.alarm or at, at)


def order(state: State, task: str, given: Order) -> None:
    """What is said of a task beyond its queue; the first task of a key has it."""
    state.orders[task] = given
    if given.key:
        state.keys.setdefault(given.key, task)
    watch_deadline(state, task)


def watch_deadline(state: State, task: str) -> None:
    given = state.orders.get(task)
    if given and given.deadline:
        state.timers["x" + task] = given.deadline
        set_alarm(state, given.deadline)


def tell_result(state: State, task: str) -> None:
    """Who waits for the result is told to look."""
    for session in state.orders[task].asking:
        if session in state.sessions:
            state.sessions[session].delivered += 1
            state.told_results.append((session, f"done|{task}"))
    state.orders[task].asking = []


def free_key(state: State, task: str) -> None:
    key = state.orders[task].key
    if key and state.keys.get(key) == task:
        del state.keys[key]


def forget_order(state: State, task: str) -> None:
    tell_result(state, task)
    free_key(state, task)
    state.timers.pop("x" + task, None)
    state.timers.pop("r" + task, None)
    del state.orders[task]


def complete_task(state: State, now: int, task: str, value: bytes) -> None:
    """It is done; its result is kept where its order says so."""
    del state.tasks[task]
    given = state.orders.get(task)
    if given is None:
        return
    if not given.ttl:
        forget_order(state, task)
        return
    state.timers.pop("x" + task, None)
    given.why, given.result = None, value
    state.timers["r" + task] = now + given.ttl
    set_alarm(state, now + given.ttl)
    tell_result(state, task)


def die(state: State, now: int, task: DurableTask, why: bytes) -> None:
    """`why` is a letter and a text: f (it failed), x (its deadline), h (its holder was gone)."""
    task.state, task.died = DEAD, state.tick
    record(state, now, "died", task.agent, id=task.rid, attempt=task.attempt)
    if task.rid in state.orders:
        state.orders[task.rid].why = why
        state.timers.pop("x" + task.rid, None)
        free_key(state, task.rid)
        tell_result(state, task.rid)


def put_back(state: State, now: int, task: DurableTask, delay: int, why: bytes) -> None:
    """One that was started is not done: it is tried again, or dead."""
    given = state.orders.get(task.rid)
    if 0 < task.max_attempts <= task.attempt:
        die(state, now, task, why)
    elif given and 0 < given.deadline <= now:
        die(state, now, task, b"x")
    elif delay:
        watch_deadline(state, task.rid)
        reserve(state, now, task.agent, task.terms)
        task.state, task.due = LATER, now + delay
        set_alarm(state, task.due)
    else:
        watch_deadline(state, task.rid)
        requeue(state, now, task)


def requeue(state: State, now: int, task: DurableTask) -> None:
    """It goes back to where it was in its queue; the next attempt costs, too."""
    task.state = QUEUED
    reserve(state, now, task.agent, task.terms)
    touch(state, now, task.agent)
    record(state, now, "requeued", task.agent, id=task.rid, attempt=task.attempt)


def drop_queued(state: State, now: int, task: DurableTask) -> None:
    """It has left its queue: an open request may have lost its task."""
    pulling = state.lane(task.agent, OPEN)
    if len(pulling) > len(state.queued_tasks(task.agent)):
        pulling[-1].lane, pulling[-1].weight = BOUND, IMPLICIT_WEIGHT
    touch(state, now, task.agent)


def ring(state: State, now: int) -> None:
    """What was to be done at a TIME that has come, at most 32 of it."""
    delayed = ((task.due, task.rid) for task in state.tasks.values() if task.state == LATER)
    due = sorted(row for row in delayed if row[0] <= now)[:RINGS]
    for _, rid in due:
        _join_queue(state, now, state.tasks[rid])
    timers = sorted((at, name) for name, at in state.timers.items() if at <= now)
    for _, name in timers[: RINGS - len(due)]:
        del state.timers[name]
        if name[0] == "r":
            forget_order(state, name[1:])
        else:
            _expire(state, now, state.tasks[name[1:]])
    state.alarm = min(
        [task.due for task in state.tasks.values() if task.state == LATER]
        + [*state.timers.values()],
        default=0,
    )


def _join_queue(state: State, now: int, task: DurableTask) -> None:
    """A first attempt arrives now; others keep their age."""
    if task.attempt == 0:
        state.seq += 1
        task.seq, task.tick = state.seq, state.tick
    task.state = QUEUED
    touch(state, now, task.agent)
    record(state, now, "due", task.agent, id=task.rid, attempt=task.attempt)


def _expire(state: State, now: int, task: DurableTask) -> None:
    """A queued one; one that runs may still be done."""
    if task.state not in (QUEUED, LATER):
        return
    refund(state, now, task.agent, task.terms)
    was_queued = task.state == QUEUED
    task.state = DEAD
    if was_queued:
        drop_queued(state, now, task)
    die(state, now, task, b"x")
