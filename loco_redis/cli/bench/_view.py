"""How `loco-redis bench run` looks at its end, in a terminal of 80 columns."""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from loco_redis.cli._console import shown, table
from loco_redis.cli.bench import _grids as grids
from loco_redis.cli.bench._figures import BenchReport
from loco_redis.cli.bench._grids import Facts, Grid
from loco_redis.cli.look._listing import middle

_WIDTH = 80
_GAP = 3  # of a table's columns
_LEAST_NAME = 8
_MOST_FAILURES = 20


def render(report: BenchReport) -> RenderableType:
    """The answer first, the verdict last."""
    parts: list[RenderableType] = [_answer(report), Text(grids.setting(report.plan), style="dim")]
    if report.runs:
        parts += [
            *_grid(grids.summary(report), left=2),
            *_grid(grids.waits(report)),
            _heading("Server"),
            _facts([*grids.server(report), ("fairness", grids.fairness(report))]),
            *_grid(grids.hosts(report)),
        ]
    parts += [_heading("Promises"), *_promises(report)]
    return Group(*parts)


def _answer(report: BenchReport) -> Text:
    line = Text.assemble((grids.answer(report), "bold"), ": ")
    return line.append(grids.verdict(report), "bold green" if report.ok else "bold red")


def _heading(words: str) -> Text:
    return Text(f"\n{words}", style="bold")


def _grid(grid: Grid, left: int = 1) -> list[RenderableType]:
    """With a name in the first column that leaves room for all numbers; `left` columns are text."""
    made = table(*grid.headings, left=left)
    room = max(_WIDTH - _others(grid), _LEAST_NAME)
    for row in grid.rows:
        made.add_row(*_cells(row, room))
    if grid.below:
        made.add_section()
    for row in grid.below:
        made.add_row(*_cells(row, room), style="dim" if row[0] == "hand-off" else None)
    notes = [Text(shown(note), style="dim") for note in grid.notes]
    return [_heading(grid.title), made, *notes]


def _others(grid: Grid) -> int:
    """Cells of all columns but the first, and of the gaps."""
    columns = zip(grid.headings, *grid.rows, *grid.below, strict=True)
    widths = [max(cell_len(cell) for cell in column) for column in columns]
    return sum(widths[1:]) + _GAP * (len(widths) - 1)


def _cells(row: tuple[str, ...], room: int) -> list[Text]:
    return [Text(middle(shown(row[0]), room)), *map(Text, row[1:])]


def _facts(facts: Facts) -> Table:
    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim", no_wrap=True)
    made.add_column()
    for name, value in facts:
        made.add_row(name, Text(shown(value)))
    return made


def _promises(report: BenchReport) -> list[RenderableType]:
    lines = [Text(shown(line)) for line in grids.promises(report)] if report.runs else []
    lines += [Text(shown(line), style="red") for line in report.failures[:_MOST_FAILURES]]
    if (more := len(report.failures) - _MOST_FAILURES) > 0:
        lines.append(Text(f"and {more:,} more: see --json", style="red"))
    end = Text("every promise held", style="bold green")
    return [*lines, end if report.ok else Text("FAILED", style="bold red")]
