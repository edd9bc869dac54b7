"""`loco-redis agents`: who competes, holds, or is registered."""

from __future__ import annotations

from dataclasses import dataclass

import click
from rich.console import RenderableType
from rich.text import Text

from loco_redis.cli._console import shown, table
from loco_redis.cli._options import agent_option, json_option, limit_option, resource_options
from loco_redis.cli._report import documented, emit
from loco_redis.cli._rows import cut
from loco_redis.cli._target import open_target
from loco_redis.observe import Observer
from loco_redis.snapshots import AgentSnapshot


@dataclass(frozen=True)
class AgentsReport:
    """The agents of a resource; `total` counts those that are not listed, too. Read in pages, so
    they may be of slightly different moments."""

    resource: str
    total: int
    agents: list[AgentSnapshot]


# What is equal stays in the order of the scores.
_SORTS = {
    "score": lambda row: -row.score,
    "depth": lambda row: -row.queue_depth_weighted,
    "age": lambda row: -row.dmax,
    "waiting": lambda row: -row.waiting,
    "holding": lambda row: -row.holding,
    "name": lambda row: row.agent_id,
}


def fetch(observer: Observer, agent: str | None, sort: str, limit: int) -> AgentsReport:
    rows = [row for row in observer.agents() if agent in (None, row.agent_id)]
    return AgentsReport(observer.name, len(rows), sorted(rows, key=_SORTS[sort])[:limit])


def view(report: AgentsReport) -> RenderableType:
    if not report.agents:
        return Text(f"no such agent of {report.resource}: nothing queued, held or registered")
    made = table("agent", "type", "score", "Q", "D", "queued", "waiting", "holds", left=2)
    for row in report.agents:
        made.add_row(
            Text(shown(row.agent_id)),
            Text(shown(row.agent_type)),
            f"{row.score:.3f}" if row.queued else "",
            f"{row.queue_depth_weighted:,g}",
            f"{row.dmax:,}",
            f"{row.queued:,}",
            f"{row.waiting:,}",
            f"{row.holding:,}",
        )
    return cut(made, len(report.agents), report.total)


@documented(AgentsReport)
@click.command("agents")
@resource_options
@agent_option
@click.option("--sort-by", type=click.Choice(list(_SORTS)), default="score", show_default=True)
@limit_option
@json_option
def command(
    redis: str | None, name: str | None, agent: str | None, sort_by: str, limit: int, as_json: bool
) -> None:
    """List the agents: score L(i), queue depth Q, age D of the oldest task, slots held.

    Example:  loco-redis agents --sort-by waiting --limit 10
    """
    with open_target(redis, name) as observer:
        emit(fetch(observer, agent, sort_by, limit), as_json, view)
