"""`loco-redis holders`: who holds the slots."""

from __future__ import annotations

from dataclasses import dataclass

import click
from rich.console import RenderableType
from rich.text import Text

from loco_redis.cli._options import agent_option, json_option, limit_option, resource_options
from loco_redis.cli._report import documented, emit
from loco_redis.cli._rows import HolderRow, cut, holder_rows, holders_table
from loco_redis.cli._target import open_target
from loco_redis.observe import Observer

_SORTS = {
    "slot": lambda row: row.slot,
    "age": lambda row: -row.age,
    "agent": lambda row: (row.agent_id, row.slot),
    "weight": lambda row: -row.weight,
}


@dataclass(frozen=True)
class HoldersReport:
    """The leases of a resource; `total` counts those that are not listed, too."""

    resource: str
    total: int
    holders: list[HolderRow]


def fetch(observer: Observer, agent: str | None, sort: str, limit: int) -> HoldersReport:
    rows = holder_rows(observer.requests().holders, observer.sessions())
    rows = [row for row in rows if agent in (None, row.agent_id)]
    return HoldersReport(observer.name, len(rows), sorted(rows, key=_SORTS[sort])[:limit])


def view(report: HoldersReport) -> RenderableType:
    if not report.holders:
        return Text(f"nobody holds a slot of {report.resource}")
    return cut(holders_table(report.holders), len(report.holders), report.total)


@documented(HoldersReport)
@click.command("holders")
@resource_options
@agent_option
@click.option("--sort-by", type=click.Choice(list(_SORTS)), default="slot", show_default=True)
@limit_option
@json_option
def command(
    redis: str | None, name: str | None, agent: str | None, sort_by: str, limit: int, as_json: bool
) -> None:
    """List who holds the slots: agent, process, for how long, and the fencing token.

    Example:  loco-redis holders --sort-by age
    """
    with open_target(redis, name) as observer:
        emit(fetch(observer, agent, sort_by, limit), as_json, view)
