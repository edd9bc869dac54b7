"""`loco-redis tasks`: what is queued for good, whoever lives."""

from __future__ import annotations

import click
from rich.console import RenderableType
from rich.text import Text

from loco_redis.cli._options import agent_option, json_option, limit_option, resource_options
from loco_redis.cli._report import documented, emit
from loco_redis.cli._target import open_target
from loco_redis.cli.look._task_rows import TasksReport, fetch, tasks_table


def view(report: TasksReport) -> RenderableType:
    if not report.tasks:
        return Text(f"no such durable task of {report.resource}")
    return tasks_table(report.tasks, report.total)


@documented(TasksReport)
@click.command("tasks")
@resource_options
@agent_option
@click.option(
    "--state",
    type=click.Choice(["queued", "delayed", "running", "dead"]),
    help="Only those in this state.",
)
@limit_option
@json_option
def command(
    redis: str | None,
    name: str | None,
    agent: str | None,
    state: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List the durable tasks (`submit_task`), oldest first: what they wait for, why they failed.
    Payloads are never shown.

    Example:  loco-redis tasks --state running
    """
    with open_target(redis, name) as observer:
        emit(fetch(observer, agent, state, limit), as_json, view)
