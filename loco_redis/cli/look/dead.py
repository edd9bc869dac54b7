"""`loco-redis dead`: durable tasks that were given up."""

from __future__ import annotations

import click
from rich.console import Group, RenderableType
from rich.text import Text

from loco_redis.cli._options import agent_option, json_option, limit_option, resource_options
from loco_redis.cli._report import documented, emit
from loco_redis.cli._target import open_target
from loco_redis.cli.look._task_rows import TasksReport, fetch, tasks_table


def view(report: TasksReport) -> RenderableType:
    if not report.tasks:
        return Text(f"no dead task of {report.resource}")
    hint = Text("to try one again:  loco-redis requeue TASK", style="dim")
    return Group(tasks_table(report.tasks, report.total), hint)


@documented(TasksReport)
@click.command("dead")
@resource_options
@agent_option
@limit_option
@json_option
def command(
    redis: str | None, name: str | None, agent: str | None, limit: int, as_json: bool
) -> None:
    """List the durable tasks that were given up, and why: they failed or their holders died as
    often as they have attempts, or their deadlines passed.

    They wait for somebody to requeue them. The same rows: loco-redis tasks --state dead

    Example:  loco-redis dead --agent batch
    """
    with open_target(redis, name) as observer:
        emit(fetch(observer, agent, "dead", limit), as_json, view)
