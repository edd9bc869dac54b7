"""Durable tasks as `tasks` and `dead` list them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.text import Text

from loco_redis.cli._console import seconds, shown, table
from loco_redis.cli._rows import cut
from loco_redis.observe import Observer
from loco_redis.observe.orders import Order
from loco_redis.snapshots import TaskSnapshot

_STYLES = {"running": "green", "delayed": "cyan", "dead": "red"}
_LONGEST_ERROR = 200


@dataclass(frozen=True)
class TaskRow:
    """A durable task; times in seconds from now, null where there is none.

    `state`: queued, delayed (until `due_in` is over), running or dead. `age`: ticks since it was
    submitted. `attempt`: starts so far; `max_attempts`: 0 for no limit. It is dead if it is not
    done within `deadline_in`, below 0 where that is over. `has_payload`: whether anything is stored
    beside it. `ended_by`: why its last attempt ended: failed (`error` says how), holder (which was
    gone) or deadline; null where none has, or it was not kept.
    """

    task_id: str
    agent_id: str
    state: str
    weight: float
    age: int
    attempt: int
    max_attempts: int
    has_payload: bool
    due_in: float | None
    deadline_in: float | None
    result_ttl: float | None
    dedup_key: str | None
    ended_by: str | None
    error: str | None


@dataclass(frozen=True)
class TasksReport:
    """Durable tasks of a resource, oldest first; `total` counts those that are not listed, too."""

    resource: str
    total: int
    tasks: list[TaskRow]


def fetch(observer: Observer, agent: str | None, state: str | None, limit: int) -> TasksReport:
    now = observer.snapshot()
    found = [
        row
        for row in observer.tasks(now)
        if agent in (None, row.agent_id) and state in (None, row.state)
    ]
    orders = observer.orders(found[:limit])
    rows = [_row(row, orders[row.task_id], now.server_time) for row in found[:limit]]
    return TasksReport(observer.name, len(found), rows)


def _row(task: TaskSnapshot, order: Order, now: float) -> TaskRow:
    ended_by = order.ended_by
    if task.state == "dead" and ended_by is None:  # of one without options nothing else is kept
        ended_by = "holder"
    return TaskRow(
        task_id=task.task_id,
        agent_id=task.agent_id,
        state=task.state,
        weight=task.weight,
        age=task.age,
        attempt=task.attempt,
        max_attempts=task.max_attempts,
        has_payload=task.has_payload,
        due_in=None if order.due is None else max(round(order.due - now, 6), 0.0),
        deadline_in=None if order.deadline is None else round(order.deadline - now, 6),
        result_ttl=order.result_ttl,
        dedup_key=order.dedup_key,
        ended_by=ended_by,
        error=order.error,
    )


def tasks_table(rows: Sequence[TaskRow], total: int) -> RenderableType:
    notes = [_note(row) for row in rows]
    made = table("task", "agent", "state", "attempts", "weight", "ticks", left=3)
    if any(notes):
        made.add_column("", overflow="fold")
    for row, note in zip(rows, notes, strict=True):
        made.add_row(
            row.task_id,
            Text(shown(row.agent_id)),
            Text(row.state, style=_STYLES.get(row.state, "")),
            f"{row.attempt} of {row.max_attempts}" if row.max_attempts else str(row.attempt),
            f"{row.weight:g}",
            f"{row.age:,}",
            *([Text(shown(note))] if any(notes) else []),
        )
    return cut(made, len(rows), total)


def _note(row: TaskRow) -> str:
    parts = []
    if row.due_in is not None:
        parts.append(f"due in {seconds(row.due_in)}")
    if row.deadline_in is not None and row.state != "dead":
        left = seconds(abs(row.deadline_in))
        parts.append(f"deadline in {left}" if row.deadline_in > 0 else f"deadline {left} ago")
    if row.ended_by == "failed":
        error = row.error or ""
        is_long = len(error) > _LONGEST_ERROR
        parts.append(f"failed: {error[:_LONGEST_ERROR]}{'...' if is_long else ''}")
    elif row.ended_by == "deadline":
        parts.append("its deadline has passed")
    elif row.ended_by == "holder":
        parts.append("its holder was gone")
    return "; ".join(parts)
