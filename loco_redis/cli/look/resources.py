"""`loco-redis resources`: what there is in a server."""

from __future__ import annotations

from dataclasses import dataclass

import click
from rich.console import RenderableType
from rich.text import Text

from loco_redis.cli._console import table
from loco_redis.cli._options import json_option, redis_option
from loco_redis.cli._report import documented, emit
from loco_redis.cli._target import open_link
from loco_redis.errors import ConfigMismatchError, UnknownResourceError
from loco_redis.observe import Link, Observer, resource_names


@dataclass(frozen=True)
class ResourceRow:
    """One resource; `gone` if nothing is stored under its name any more, `other_version` if
    another version of loco-redis has stored it."""

    name: str
    capacity: int
    held: int
    waiting: int
    tick: int
    live_sessions: int
    paused: bool
    gone: bool
    other_version: bool


@dataclass(frozen=True)
class ResourcesReport:
    """All resources that were opened in a server."""

    server: str
    resources: list[ResourceRow]


def fetch(link: Link) -> ResourcesReport:
    return ResourcesReport(link.where, [_row(link, name) for name in resource_names(link)])


def _row(link: Link, name: str) -> ResourceRow:
    try:
        found = Observer(link, name).snapshot()
    except (UnknownResourceError, ConfigMismatchError) as error:
        gone = isinstance(error, UnknownResourceError)
        return ResourceRow(name, 0, 0, 0, 0, 0, False, gone, other_version=not gone)
    return ResourceRow(
        name,
        found.capacity,
        found.held,
        found.waiting,
        found.tick,
        found.live_sessions,
        found.paused,
        gone=False,
        other_version=False,
    )


def view(report: ResourcesReport) -> RenderableType:
    if not report.resources:
        return Text(f"no resource at {report.server} yet: a scheduler makes one when it opens")
    made = table("resource", "capacity", "held", "waiting", "tick", "sessions", "")
    for row in report.resources:
        told = {"gone": row.gone, "of another version": row.other_version, "paused": row.paused}
        state = next((state for state, is_so in told.items() if is_so), "")
        numbers = (row.capacity, row.held, row.waiting, row.tick, row.live_sessions)
        made.add_row(Text(row.name), *(f"{n:,}" for n in numbers), Text(state, style="yellow"))
    return made


@documented(ResourcesReport)
@click.command("resources")
@redis_option()
@json_option
def command(redis: str | None, as_json: bool) -> None:
    """List the resources that were opened in a Redis.

    Example:  loco-redis resources -u redis://10.0.0.5
    """
    with open_link(redis) as link:
        emit(fetch(link), as_json, view)
