"""How a benchmark shows itself while it runs; always on stderr, so that stdout is the report's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loco_redis.cli._canvas import Canvas, canvas_for
from loco_redis.cli._console import seconds, shown, table
from loco_redis.cli.bench._words import counted, number
from loco_redis.cli.look._listing import middle
from loco_redis.cli.look._status_view import bar

EVERY = 5.0  # seconds between two lines where nothing is live
QUIET = 3.0  # seconds without a word after which a host is marked
_BAR_WIDTH = 30
_NAME_WIDTH = 24
_OTHER_LINES = 5  # of the picture, beside the rows of hosts


@dataclass(frozen=True, slots=True)
class HostStanding:
    """One host now.

    Attributes:
        grants: since the measured time of this run began.
        rate: grants per second lately.
        silent: seconds since it was heard of.
    """

    name: str
    phase: str
    grants: int
    rate: float
    silent: float


@dataclass(frozen=True, slots=True)
class Standing:
    """The whole now.

    Attributes:
        run, runs: which run, from 1, of how many; 0 before the first.
        elapsed, total: seconds of this phase; a total of 0 if nobody knows how long it takes.
    """

    phase: str
    run: int
    runs: int
    elapsed: float
    total: float
    hosts: tuple[HostStanding, ...]
    grants_per_second: float
    holding: int
    waiting: int
    capacity: int


class Progress:
    """A live picture on a terminal; elsewhere a line every 5 seconds and at each new phase; nothing
    at all for --json. Used inside a `with`."""

    def __init__(self, canvas: Canvas, clock: Callable[[], float] = time.monotonic) -> None:
        self._canvas, self._clock = canvas, clock
        self._phase: tuple[int, str] | None = None
        self._next = 0.0

    def __enter__(self) -> Self:
        self._canvas.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._canvas.__exit__(exc_type, exc, traceback)

    def note(self, text: str) -> None:
        """Something that stays to be seen: a worker was killed, a host is silent or back."""
        self._canvas.note(Text(shown(text)))

    def show(self, standing: Standing) -> None:
        """How things are now; called about twice a second."""
        if self._canvas.is_live:
            self._canvas.draw(partial(frame, standing))
        elif self._is_time(standing):
            self._canvas.note(line(standing))

    def _is_time(self, standing: Standing) -> bool:
        now, phase = self._clock(), (standing.run, standing.phase)
        if phase == self._phase and now < self._next:
            return False
        self._phase, self._next = phase, now + EVERY
        return True


def progress_for(as_json: bool) -> Progress:
    return Progress(canvas_for(Console(stderr=True, highlight=False), as_json))


def line(standing: Standing) -> Text:
    """Everything in one line."""
    s = standing
    words = [_where(s), _took(s), counted(len(s.hosts), "host")]
    words += [f"{number(s.grants_per_second)} grants/s", _slots(s), f"{s.waiting:,} waiting"]
    words += [
        f"{shown(host.name)} silent for {seconds(host.silent)}"
        for host in s.hosts
        if host.silent >= QUIET
    ]
    return Text(", ".join(words))


def frame(standing: Standing, height: int) -> RenderableType:
    """The picture, in at most so many lines."""
    head = Table.grid(padding=(0, 2))
    head.add_row(
        Text(_where(standing), style="bold"),
        ProgressBar(
            total=standing.total or None,
            completed=min(standing.elapsed, standing.total),
            width=_BAR_WIDTH,
            pulse=not standing.total,
        ),
        Text(_took(standing)),
    )
    rate = Text.assemble(
        (f"{number(standing.grants_per_second)} grants/s", "bold"),
        "  ",
        bar(standing.holding, standing.capacity, standing.capacity),
        f" {_slots(standing)}, {standing.waiting:,} waiting",
    )
    parts: list[RenderableType] = [head, rate]
    room = height - _OTHER_LINES
    if standing.hosts and room > 0:
        parts.append(_hosts(standing, room))
        if (more := len(standing.hosts) - room) > 0:
            parts.append(Text(f"+{more:,} more hosts", style="dim"))
    return Group(*parts)


def _hosts(standing: Standing, room: int) -> Table:
    """Where there is no room for all, those that were not heard of for longest are shown."""
    rows = standing.hosts
    if len(rows) > room:
        rows = tuple(sorted(rows, key=lambda host: -host.silent)[:room])
    made = table("host", "phase", "grants", "grants/s", "silent for", left=2)
    for host in rows:
        is_quiet = host.silent >= QUIET
        made.add_row(
            Text(middle(shown(host.name), _NAME_WIDTH)),
            Text(shown(host.phase)),
            f"{host.grants:,}",
            number(host.rate),
            Text(seconds(host.silent) if is_quiet else "-", style="bold red" if is_quiet else ""),
        )
    return made


def _where(standing: Standing) -> str:
    of = f"run {standing.run} of {standing.runs}: " if standing.runs > 1 and standing.run else ""
    return of + shown(standing.phase)


def _took(standing: Standing) -> str:
    of = f" of {standing.total:.0f}" if standing.total else ""
    return f"{standing.elapsed:.0f}{of} s"


def _slots(standing: Standing) -> str:
    return f"{standing.holding:,} of {standing.capacity:,} held"
