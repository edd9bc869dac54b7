"""`loco-redis events`: the log of decisions, as it was or as it grows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime

import click
from rich.console import Group, RenderableType
from rich.text import Text

from loco_redis.cli._console import make_console
from loco_redis.cli._errors import Broken
from loco_redis.cli._options import agent_option, json_option, limit_option, resource_options
from loco_redis.cli._report import documented, emit, to_json
from loco_redis.cli._target import open_target
from loco_redis.cli.look._event_words import line
from loco_redis.errors import UnknownResourceError
from loco_redis.observe import Event, Observer
from loco_redis.observe.events import KINDS, order
from loco_redis.observe.tail import Tail

_PATIENCE = 1.0  # seconds of one wait while following
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SPAN = r"(\d{1,9}(?:\.\d+)?)([smhd])"


@dataclass(frozen=True)
class EventRow:
    """One decision: `event_id` is its place in the log, `at` seconds since the epoch by the
    server's clock, `agent_id` null where it is about no agent. `facts` by kind as in
    loco_redis/lua/README.md, with weights and costs in units and times in seconds."""

    event_id: str
    at: float
    tick: int
    kind: str
    agent_id: str | None
    facts: Mapping[str, str | int | float]


@dataclass(frozen=True)
class EventsReport:
    """The last decisions, oldest first; the log keeps about `kept` of them. With --follow there is
    one object per decision and line instead: `schema` and the fields of a row."""

    resource: str
    kept: int
    events: list[EventRow]


@dataclass(frozen=True)
class Wanted:
    """Which decisions: of an agent, of some kinds (empty: all), since a moment (seconds since the
    epoch), the last `limit` of them, and none after the event `last`."""

    agent: str | None
    kinds: frozenset[str]
    since: float | None
    limit: int
    last: str | None = None

    def __call__(self, event: Event) -> bool:
        return (
            self.agent in (None, event.agent_id)
            and (not self.kinds or event.kind in self.kinds)
            and (self.last is None or order(event.event_id) <= order(self.last))
        )


def fetch(observer: Observer, wanted: Wanted) -> EventsReport:
    """Raises Broken where the log is off."""
    kept = observer.snapshot().events
    if not kept:
        raise Broken(
            f"the decision log of {observer.name} is off: turn it on with "
            "`loco-redis config set events=1000` (it keeps about so many)"
        )
    found = observer.events(wanted.since, wanted.limit, wanted)
    return EventsReport(observer.name, kept, [_row(event) for event in found])


def _row(event: Event) -> EventRow:
    return EventRow(**{field.name: getattr(event, field.name) for field in fields(EventRow)})


def view(report: EventsReport) -> RenderableType:
    if not report.events:
        return Text(f"no such decision in the log of {report.resource}")
    return Group(*map(line, report.events))


def follow(observer: Observer, wanted: Wanted, show: Callable[[EventRow], None]) -> None:
    """What `fetch` finds, then what comes, without an end."""
    tail = Tail(observer)
    for row in fetch(observer, replace(wanted, last=tail.after)).events:
        show(row)
    is_on = True
    while True:
        found = tail.more(_PATIENCE)
        for event in filter(wanted, found):
            show(_row(event))
        was_on, is_on = is_on, bool(found) or _is_on(observer)
        if was_on and not is_on:
            click.echo(f"the decision log of {observer.name} is off now: waiting", err=True)


def _is_on(observer: Observer) -> bool:
    try:
        return observer.snapshot().events > 0
    except UnknownResourceError:  # the server was emptied; somebody may come back
        return False


def _shower(as_json: bool) -> Callable[[EventRow], None]:
    if as_json:
        return lambda row: click.echo(to_json(row))
    console = make_console()
    return lambda row: console.print(line(row), soft_wrap=True)


def _moment(observer: Observer, since: str | None) -> float | None:
    """In seconds since the epoch: so long before now by the server's clock, or an ISO time."""
    if since is None:
        return None
    if span := re.fullmatch(_SPAN, since):
        return observer.snapshot().server_time - float(span[1]) * _UNITS[span[2]]
    return datetime.fromisoformat(since).timestamp()


def _checked_since(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(_SPAN, value):
        try:
            datetime.fromisoformat(value).timestamp()
        except (ValueError, OverflowError, OSError):
            raise click.BadParameter(
                f"{value!r} is neither a span such as 30s, 5m, 2h, 1d nor an ISO time"
            ) from None
    return value


@documented(EventsReport)
@click.command("events")
@resource_options
@click.option("-f", "--follow", "following", is_flag=True, help="Go on until Ctrl-C.")
@click.option(
    "--since",
    metavar="WHEN",
    callback=_checked_since,
    help="Only from then on: 30s, 5m, 2h, 1d ago, or an ISO time (local without an offset).",
)
@agent_option
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(KINDS),
    metavar="KIND",
    help=f"Only these, may be repeated: {', '.join(KINDS)}.",
)
@limit_option
@json_option
def command(
    redis: str | None,
    name: str | None,
    following: bool,
    since: str | None,
    agent: str | None,
    kinds: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """Show the log of decisions: what was submitted, granted, released, refused, and why.

    A line has the local time, the tick, the kind, the agent and the facts. The log is off until
    somebody turns it on: loco-redis config set events=1000

    Example:  loco-redis events -f --agent batch
    """
    with open_target(redis, name) as observer:
        wanted = Wanted(agent, frozenset(kinds), _moment(observer, since), limit)
        if not following:
            return emit(fetch(observer, wanted), as_json, view)
        try:
            follow(observer, wanted, _shower(as_json))
        except KeyboardInterrupt:
            raise click.exceptions.Exit(130) from None
