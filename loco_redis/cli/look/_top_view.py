"""How `top` looks: pure functions from what was read and the terminal's size to lines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Group
from rich.text import Text

from loco_redis.cli._console import seconds, shown
from loco_redis.cli._rows import HolderRow, process
from loco_redis.cli.look._listing import Column, Mark, flow, listing, middle
from loco_redis.cli.look._top_report import BRIEF_ROWS, TopAgent, TopReport

T = TypeVar("T")

_ROOMY = 16  # lines from which on there are blank ones between the parts
_WIDE = 80  # columns from which on the bar is long
_SERVER = 16  # columns below which the server is not named
_OVERDUE = 2.0  # seconds beyond the interval after which the picture is called old
_KEYS = ("s sort", "r reverse", "p pause the display", "+ - interval", "q quit", "? hide this")

_SORTED_COLUMN = {
    "score": "score",
    "depth": "Q",
    "age": "D",
    "waiting": "waiting",
    "holding": "holding",
    "name": "agent",
}
_AGENT_COLUMNS: tuple[Column[TopAgent], ...] = (
    Column("agent", lambda row: Text(shown(row.agent_id)), is_text=True),
    Column("score", lambda row: Text(f"{row.score:.3f}")),
    Column("Q", lambda row: Text(f"{row.queue_depth_weighted:,.10g}"), rank=1),
    Column("D", lambda row: Text(f"{row.dmax:,}"), rank=1),
    Column("queued", lambda row: Text(f"{row.queued:,}"), rank=2),
    Column("waiting", lambda row: Text(f"{row.waiting:,}")),
    Column("holding", lambda row: Text(f"{row.holding:,}")),
)
_SLOT_COLUMNS: tuple[Column[HolderRow], ...] = (
    Column("slot", lambda row: Text(str(row.slot))),
    Column("agent", lambda row: Text(shown(row.agent_id)), is_text=True),
    Column("process", lambda row: process(row.host, row.pid), rank=1, is_text=True),
    Column("for", lambda row: Text(seconds(row.age))),
    Column("weight", lambda row: Text(f"{row.weight:,.10g}"), rank=2),
    Column("score", lambda row: Text(f"{row.score:.3f}"), rank=3),
    Column("waited", lambda row: Text(f"{row.waited_ticks:,}"), rank=4),
)


@dataclass(frozen=True)
class Size:
    """Of a terminal, in cells; `lines` is None where there is no end to them."""

    columns: int
    lines: int | None


@dataclass(frozen=True)
class State:
    """What a frame is made of.

    Attributes:
        interval: seconds between two looks; None where there is only this one.
        age: seconds since what is shown was read.
        trouble: why nothing newer is known; is_held: the display is paused.
    """

    report: TopReport
    sort: str
    is_reversed: bool = False
    interval: float | None = None
    age: float = 0.0
    trouble: str = ""
    is_held: bool = False
    has_help: bool = False


def frame(state: State, size: Size) -> Group:
    """The whole picture: as many lines as there are, none longer than the terminal is wide."""
    keys = flow([Text(key, style="dim") for key in _KEYS], size.columns, 2)
    lines = [*_header(state, size), *(keys if state.has_help else [])]
    gap = [Text()] if size.lines is None or size.lines >= _ROOMY else []
    room = None if size.lines is None else size.lines - len(lines) - 2 * len(gap) - 2
    for_agents, for_slots = _shares(room, state.report)
    lines += [*gap, *_agents(state, size.columns, for_agents)]
    lines += [*gap, *_slots(state, size.columns, for_slots)]
    return Group(*lines[: size.lines])


def _header(state: State, size: Size) -> list[Text]:
    is_low = size.lines is not None and size.lines < _ROOMY
    condition, is_fine = _condition(state)
    numbers = flow(_numbers(state.report, size.columns), size.columns, 2 if is_low else 3)
    condition.truncate(size.columns, overflow="ellipsis")
    return [_title(state, size.columns), *numbers, *([] if is_low and is_fine else [condition])]


def _title(state: State, columns: int) -> Text:
    report = state.report
    right = Text(time.strftime("%H:%M:%S", time.localtime(report.server_time)))
    if state.is_held:
        right.append("  display paused", style="bold yellow")
    elif state.interval is not None:
        right.append(f"  every {state.interval:g}s")
    if state.interval is not None and not state.has_help and columns >= _WIDE:
        right.append("  ? for keys", style="dim")
    room = columns - right.cell_len - 2
    line = Text(no_wrap=True, overflow="crop").append(middle(report.resource, room), style="bold")
    left = room - line.cell_len - 2
    if left >= _SERVER:
        line.append("  ").append(middle(shown(report.server), left), style="dim")
    line.append(" " * max(columns - line.cell_len - right.cell_len, 1))
    return line.append_text(right)


def _numbers(report: TopReport, columns: int) -> list[Text]:
    """The most important first; what finds no room is left out."""
    most = "" if report.max_waiters is None else f" of {report.max_waiters:,}"
    parts = [_slots_bar(report, 20 if columns >= _WIDE else 8)]
    parts.append(Text(f"waiting {report.waiting:,}{most}"))
    if report.oldest_wait is not None:
        agent = middle(shown(report.oldest_waiter or ""), max(columns - 20, 8))
        parts.append(Text(f"oldest {seconds(report.oldest_wait)} {agent}"))
    rate = "-" if report.grants_per_second is None else f"{report.grants_per_second:,.1f}"
    parts.append(Text(f"{rate} grants/s"))
    parts.append(Text(f"alpha {report.alpha:.3g}"))
    parts.append(Text(f"tick {report.tick:,}"))
    parts.append(Text(f"{_count(report.competing, 'agent')} competing"))
    parts.append(Text(_count(report.live_sessions, "session")))
    if report.serving:
        parts.append(Text(f"{report.serving:,} idle in serve()"))
    return parts


def _slots_bar(report: TopReport, cells: int) -> Text:
    full = min(round(cells * report.held / report.capacity), cells) if report.capacity else 0
    if report.held and not full:
        full = 1
    bar = Text.assemble("slots ", ("█" * full, "cyan"), ("░" * (cells - full), "dim"))
    bar.append(f" {report.held:,}/{report.capacity:,}")
    if report.effective_capacity < report.capacity and not report.paused:
        bar.append(f" ({report.effective_capacity:,} allowed)", style="yellow")
    return bar


def _condition(state: State) -> tuple[Text, bool]:
    """One line, and whether it says that all is well."""
    report, ago = state.report, f"as it was {seconds(state.age)} ago"
    if state.trouble:
        return Text(f"{ago}: {shown(state.trouble)}", style="bold red"), False
    is_late = state.interval is not None and state.age > state.interval + _OVERDUE
    if is_late and not state.is_held:
        return Text(f"{ago}: no answer yet", style="bold red"), False
    warning = ""
    if report.paused:
        warning = "PAUSED: nothing is granted until loco-redis resume"
    elif report.paused_for > 0:
        warning = f"THROTTLED: no grant for {seconds(report.paused_for)}"
    elif report.rate_wait > 0:
        warning = f"at its rate: next grant in {seconds(report.rate_wait)}"
    if warning:
        return Text(warning, style="bold yellow"), False
    return Text("granting", style="green"), True


def _shares(room: int | None, report: TopReport) -> tuple[int | None, int | None]:
    """Lines for agents and for slots: slots get up to half, and what the other does not need."""
    if room is None:
        return None, None
    agents, slots = max(report.agents_total, 1), max(report.held, 1)
    for_slots = min(slots, max(room // 2, room - agents))
    return max(min(agents, room - for_slots), 0), max(for_slots, 0)


def _agents(state: State, columns: int, room: int | None) -> list[Text]:
    report = state.report
    if not report.agents:
        return [_quiet("no agent competes or holds a slot")]
    mark = Mark(_SORTED_COLUMN[state.sort], "↑" if state.is_reversed else "↓")
    note = "" if report.complete else f": only the {BRIEF_ROWS} deepest were read"
    rows, more = _cut(report.agents, report.agents_total, room, note)
    return [*listing(_AGENT_COLUMNS, rows, columns, mark), *more]


def _slots(state: State, columns: int, room: int | None) -> list[Text]:
    report = state.report
    if not report.holders:
        return [_quiet("nobody holds a slot")]
    rows, more = _cut(report.holders, report.held, room, "")
    return [*listing(_SLOT_COLUMNS, rows, columns), *more]


def _cut(
    rows: Sequence[T], total: int, room: int | None, note: str
) -> tuple[Sequence[T], list[Text]]:
    """The rows that find room, and a line about the others."""
    if room is not None and total > room:
        rows = rows[: max(room - 1, 0)]
    left = total - len(rows)
    return rows, [_quiet(f"+{left:,} more{note}")] if left > 0 else []


def _quiet(text: str) -> Text:
    return Text(text, style="dim", no_wrap=True, overflow="ellipsis")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
