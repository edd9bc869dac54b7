"""`loco-redis top`: a resource at work, live."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from dataclasses import dataclass

import click
from rich.console import Console, ConsoleDimensions
from rich.live import Live

from loco_redis.cli._console import make_console
from loco_redis.cli._options import between, json_option, limit_option, resource_options
from loco_redis.cli._report import documented, emit
from loco_redis.cli._target import open_target
from loco_redis.cli.look._keys import SUSPEND, Keys
from loco_redis.cli.look._top_reader import News, Reader
from loco_redis.cli.look._top_report import SORTS, TopReport, look, report_of
from loco_redis.cli.look._top_view import Size, State, frame
from loco_redis.observe import Observer

_INTERVALS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_REDRAW = 1.0  # seconds at most, so that the age of what is shown goes on
_GLANCE = 0.2  # seconds between the two looks of a single frame, for grants/s
_STDIN = 0
_FALLBACK = os.terminal_size((80, 24))


@dataclass
class Wishes:
    """What the user wants to see: the options at first, then what keys make of them."""

    sort: str
    interval: float
    is_reversed: bool = False
    is_held: bool = False
    has_help: bool = False

    def press(self, key: str) -> None:
        """Keys that mean nothing are ignored."""
        match key:
            case "s":
                names = list(SORTS)
                self.sort = names[(names.index(self.sort) + 1) % len(names)]
                self.is_reversed = False
            case "r":
                self.is_reversed = not self.is_reversed
            case "p":
                self.is_held = not self.is_held
            case "+" | "=":
                longer = (step for step in _INTERVALS if step > self.interval)
                self.interval = next(longer, self.interval)
            case "-":
                shorter = (step for step in reversed(_INTERVALS) if step < self.interval)
                self.interval = next(shorter, self.interval)
            case "?" | "h":
                self.has_help = not self.has_help


def fetch(observer: Observer, sort: str, limit: int) -> TopReport:
    """One picture, by two looks a moment apart."""
    before = observer.snapshot()
    time.sleep(_GLANCE)
    return report_of(look(observer), before, sort, False, limit)


def watch(observer: Observer, console: Console, wishes: Wishes) -> None:
    """Until the user has enough.

    Raises:
        click.exceptions.Exit: 128 + the signal that ended it.
    """
    try:
        with Reader(observer, look(observer), wishes.interval) as reader:
            while _hold_screen(reader, console, wishes):
                # To the whole group, as the terminal would: whoever started this stops, too.
                os.kill(0, signal.SIGTSTP)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        # The terminal is gone; there is nowhere to say so.
        raise click.exceptions.Exit(128 + signal.SIGHUP) from error


def _hold_screen(reader: Reader, console: Console, wishes: Wishes) -> bool:
    """Draw until the end, or until the process is to be suspended: True."""
    keyboard = _STDIN if os.isatty(_STDIN) else None
    with (
        Keys(keyboard) as keys,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        reader.on_news = keys.wake
        news = reader.news
        while not keys.ended:
            if reader.failure is not None:
                raise reader.failure
            if not wishes.is_held:
                news = reader.news
            _draw(live, console, news, wishes)
            try:
                pressed = keys.wait(_REDRAW)
            except EOFError:
                return False
            for key in pressed:
                if key in ("q", SUSPEND):
                    return key == SUSPEND
                wishes.press(key)
            reader.every(wishes.interval)
            reader.rest(wishes.is_held)
        raise click.exceptions.Exit(128 + keys.ended)


def _draw(live: Live, console: Console, news: News, wishes: Wishes) -> None:
    columns, lines = _terminal_size()
    # rich itself would believe COLUMNS and LINES, which a resize does not change.
    console.size = ConsoleDimensions(columns, lines)
    state = State(
        report=report_of(news.seen, news.before, wishes.sort, wishes.is_reversed, lines),
        sort=wishes.sort,
        is_reversed=wishes.is_reversed,
        interval=wishes.interval,
        age=time.monotonic() - news.at,
        trouble=news.trouble,
        is_held=wishes.is_held,
        has_help=wishes.has_help,
    )
    live.update(frame(state, Size(columns, lines)), refresh=True)


def _terminal_size() -> os.terminal_size:
    size = os.get_terminal_size(sys.stdout.fileno())
    # Some serial lines do not know theirs.
    return size if size.columns and size.lines else _FALLBACK


@documented(TopReport)
@click.command("top")
@resource_options
@click.option(
    "-i",
    "--interval",
    type=float,
    default=1.0,
    show_default=True,
    callback=between(0.2, 60),
    help="Seconds between two looks, 0.2 to 60.",
)
@click.option("--no-stream", is_flag=True, help="One picture, then the end; so it is on a pipe.")
@click.option(
    "--sort-by",
    type=click.Choice(list(SORTS)),
    default="score",
    show_default=True,
    help="What the agents are sorted by; depth is Q, age is D.",
)
@limit_option
@json_option
def command(
    redis: str | None,
    name: str | None,
    interval: float,
    no_stream: bool,
    sort_by: str,
    limit: int,
    as_json: bool,
) -> None:
    """Watch a resource live: agents by score, who holds the slots, who waits longest.

    Keys: s next sort, r reverse, p pause the display, + and - interval, ? help, q quit. The live
    picture fits the terminal; --limit and --json are for a single one.

    Example:  loco-redis top --sort-by waiting
    """
    if as_json and not no_stream:
        raise click.UsageError("--json is one picture: add --no-stream")
    console = make_console()
    is_live = sys.stdout.isatty() and not console.is_dumb_terminal
    with open_target(redis, name) as observer:
        if is_live and not no_stream:
            watch(observer, console, Wishes(sort_by, interval))
        else:
            size = Size(console.width, None)
            report = fetch(observer, sort_by, limit)
            emit(report, as_json, lambda found: frame(State(found, sort_by), size))
