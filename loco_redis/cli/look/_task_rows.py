"""Durable tasks as `tasks` and `dead` list them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.text import Text

from loco_redis.cli._console import shown, table
from loco_redis.cli._rows import cut
from loco_redis.observe import Observer
from loco_redis.snapshots import TaskSnapshot

_STYLES = {"running": "green", "dead": "red"}


@dataclass(frozen=True)
class TasksReport:
    """Durable tasks of a resource, oldest first; `total` counts those that are not listed, too."""

    resource: str
    total: int
    tasks: list[TaskSnapshot]


def fetch(observer: Observer, agent: str | None, state: str | None, limit: int) -> TasksReport:
    rows = [
        row
        for row in observer.tasks()
        if agent in (None, row.agent_id) and state in (None, row.state)
    ]
    return TasksReport(observer.name, len(rows), rows[:limit])


def tasks_table(rows: Sequence[TaskSnapshot], total: int) -> RenderableType:
    made = table("task", "agent", "state", "attempts", "weight", "ticks", left=3)
    for row in rows:
        made.add_row(
            row.task_id,
            Text(shown(row.agent_id)),
            Text(row.state, style=_STYLES.get(row.state, "")),
            f"{row.attempt} of {row.max_attempts}" if row.max_attempts else str(row.attempt),
            f"{row.weight:g}",
            f"{row.age:,}",
        )
    return cut(made, len(rows), total)
