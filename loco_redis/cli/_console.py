"""Where commands write to, and the tables and words they have in common."""

from __future__ import annotations

import errno
import io
import sys

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loco_redis._visible import shown as shown

_PLAIN_WIDTH = 120


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """An error that ends the workers first, then the command; not rich's SystemExit."""
        raise BrokenPipeError(errno.EPIPE, "nobody reads the output any more") from None


def make_console() -> Console:
    """Of stdout; without a terminal wide enough for every line and table."""
    _never_fail_on_a_character()
    console = _Console(highlight=False)
    return console if console.is_terminal else _Console(highlight=False, width=_PLAIN_WIDTH)


def _never_fail_on_a_character() -> None:
    """Where the locale has no UTF-8, a name or a bar is shown by `?` instead of a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")


def table(*headings: str, left: int = 1, title: str = "") -> Table:
    """A plain table: the first `left` columns are text, the others numbers."""
    made = Table(
        box=box.SIMPLE_HEAD,
        title=title or None,
        title_style="bold",
        title_justify="left",
        header_style="bold",
        pad_edge=False,
        show_edge=False,
    )
    for place, heading in enumerate(headings):
        made.add_column(heading, justify="left" if place < left else "right", no_wrap=True)
    return made


def seconds(value: float) -> str:
    """A span of time, short: 0.42s, 12s, 3m05s, 2h10m, 4d06h."""
    if value < 10:
        return f"{value:.2f}s"
    whole = round(value)
    minutes, hours = whole // 60, whole // 3600
    if whole < 60:
        return f"{whole}s"
    if hours == 0:
        return f"{minutes}m{whole % 60:02d}s"
    if hours < 24:
        return f"{hours}h{minutes % 60:02d}m"
    return f"{hours // 24}d{hours % 24:02d}h"


def verdict(held: bool) -> Text:
    return Text("ok", style="bold green") if held else Text("FAILED", style="bold red")
