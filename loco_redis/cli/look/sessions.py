"""`loco-redis sessions`: which processes take part."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import click
from rich.console import Group, RenderableType
from rich.text import Text

from loco_redis.cli._console import seconds, shown, table
from loco_redis.cli._options import agent_option, json_option, limit_option, resource_options
from loco_redis.cli._report import documented, emit
from loco_redis.cli._rows import cut
from loco_redis.cli._target import open_target
from loco_redis.observe import Observer


@dataclass(frozen=True)
class SessionRow:
    """One scheduler object of one process: `expires_in` seconds unless it beats before; `holding`
    slots and `waiting` requests of it."""

    session: str
    host: str
    pid: int
    expires_in: float
    holding: int
    waiting: int


@dataclass(frozen=True)
class SessionsReport:
    """The sessions of a resource; `total` counts those that are not listed, too. `quiet`: seconds
    since any of them was heard of; sessions expire on a clock that stands still meanwhile."""

    resource: str
    total: int
    lease_ttl: float
    quiet: float
    sessions: list[SessionRow]


def fetch(observer: Observer, agent: str | None, limit: int) -> SessionsReport:
    now = observer.snapshot()
    holders, waiters = observer.requests(now)
    holding = Counter(row.session for row in holders if agent in (None, row.agent_id))
    waiting = Counter(row.session for row in waiters if agent in (None, row.agent_id))
    rows = [
        SessionRow(
            session=row.session,
            host=row.host,
            pid=row.pid,
            expires_in=round(row.expires_in, 6),
            holding=holding[row.session],
            waiting=waiting[row.session],
        )
        for row in observer.sessions(now)
        if agent is None or row.session in holding or row.session in waiting
    ]
    return SessionsReport(observer.name, len(rows), now.lease_ttl, now.quiet, rows[:limit])


def view(report: SessionsReport) -> RenderableType:
    if not report.sessions:
        return Text(f"no process takes part in {report.resource}")
    made = table("session", "host", "pid", "expires in", "holds", "waiting", left=2)
    for row in report.sessions:
        made.add_row(
            row.session,
            Text(shown(row.host)),
            str(row.pid),
            seconds(row.expires_in),
            f"{row.holding:,}",
            f"{row.waiting:,}",
        )
    listed = cut(made, len(report.sessions), report.total)
    if report.quiet <= report.lease_ttl:
        return listed
    silence = f"none of them was heard of for {seconds(report.quiet)}: they are gone, it seems"
    return Group(listed, Text(silence, style="yellow"))


@documented(SessionsReport)
@click.command("sessions")
@resource_options
@agent_option
@limit_option
@json_option
def command(
    redis: str | None, name: str | None, agent: str | None, limit: int, as_json: bool
) -> None:
    """List the sessions, one for each scheduler object of a process; the first to expire first.

    With --agent: those in which it holds a slot or waits, and what it has there.

    Example:  loco-redis sessions
    """
    with open_target(redis, name) as observer:
        emit(fetch(observer, agent, limit), as_json, view)
