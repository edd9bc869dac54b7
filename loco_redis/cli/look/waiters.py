"""`loco-redis waiters`: which requests wait for a slot."""

from __future__ import annotations

from dataclasses import dataclass

import click
from rich.console import Group, RenderableType
from rich.text import Text

from loco_redis.cli._options import agent_option, json_option, limit_option, resource_options
from loco_redis.cli._report import documented, emit
from loco_redis.cli._rows import WaiterRow, cut, waiter_rows, waiters_table
from loco_redis.cli._target import open_target
from loco_redis.observe import Observer

# What is equal stays in the order in which it came.
_SORTS = {
    "age": lambda row: -row.age,
    "agent": lambda row: row.agent_id,
    "weight": lambda row: -row.weight,
}


@dataclass(frozen=True)
class WaitersReport:
    """The waiting requests of a resource; `total` counts those that are not listed, too. `serving`
    others wait for a task of any agent: workers with nothing to do."""

    resource: str
    total: int
    serving: int
    waiters: list[WaiterRow]


def fetch(observer: Observer, agent: str | None, sort: str, limit: int) -> WaitersReport:
    now = observer.snapshot()
    rows = waiter_rows(observer.requests(now).waiters, observer.sessions(now))
    rows = [row for row in rows if agent in (None, row.agent_id)]
    listed = sorted(rows, key=_SORTS[sort])[:limit]
    return WaitersReport(observer.name, len(rows), now.serving, listed)


def view(report: WaitersReport) -> RenderableType:
    made: RenderableType = Text(f"nobody waits for a slot of {report.resource}")
    if report.waiters:
        made = cut(waiters_table(report.waiters), len(report.waiters), report.total)
    if not report.serving:
        return made
    ask = "request waits" if report.serving == 1 else "requests wait"
    words = f"{report.serving:,} {ask} for a task of any agent (serve, workers)"
    return Group(made, Text(words, style="dim"))


@documented(WaitersReport)
@click.command("waiters")
@resource_options
@agent_option
@click.option("--sort-by", type=click.Choice(list(_SORTS)), default="age", show_default=True)
@limit_option
@json_option
def command(
    redis: str | None, name: str | None, agent: str | None, sort_by: str, limit: int, as_json: bool
) -> None:
    """List the requests that wait for a slot: agent, process, for how long.

    A request without a weight of its own serves its agent's oldest durable task.

    Example:  loco-redis waiters --agent batch
    """
    with open_target(redis, name) as observer:
        emit(fetch(observer, agent, sort_by, limit), as_json, view)
