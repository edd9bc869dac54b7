"""Lines of text that fit a terminal: columns that give way, names cut in the middle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.cells import cell_len, set_cell_size
from rich.text import Text

T = TypeVar("T")

_GAP = 2
_COMFORT = 18  # cells that a text column keeps while another column can give way


@dataclass(frozen=True)
class Column(Generic[T]):
    """One column of rows of one kind.

    Attributes:
        rank: those of the highest go first where there is no room; 0 stays.
        is_text: aligned to the left and cut in the middle; the others are numbers.
    """

    heading: str
    cell: Callable[[T], Text]
    rank: int = 0
    is_text: bool = False


@dataclass(frozen=True)
class Mark:
    """The heading that the rows are sorted by, and the arrow beside it."""

    heading: str
    arrow: str


def listing(
    columns: Sequence[Column[T]], rows: Sequence[T], width: int, mark: Mark | None = None
) -> list[Text]:
    """A heading and a line for each row, at most `width` cells wide."""
    cells = [[_heading(column, mark), *map(column.cell, rows)] for column in columns]
    widths = _widths(columns, [max(cell.cell_len for cell in cells_) for cells_ in cells], width)
    lines = [_empty() for _ in range(len(rows) + 1)]
    for column, cells_, room in zip(columns, cells, widths, strict=True):
        if not room:
            continue
        for line, cell in zip(lines, cells_, strict=True):
            if line.cell_len:
                line.append(" " * _GAP)
            _put(line, cell, room, column.is_text)
    for line in lines:
        line.truncate(width)
    return lines


def middle(text: str, width: int) -> str:
    """`text` in at most `width` cells: its beginning, an ellipsis, its end."""
    if cell_len(text) <= width:
        return text
    if width < 2:
        return "…"[: max(width, 0)]
    head = set_cell_size(text, width // 2).rstrip()
    tail, room = "", width - cell_len(head) - 1
    for character in reversed(text):
        if cell_len(character + tail) > room:
            break
        tail = character + tail
    return f"{head}…{tail}"


def flow(parts: Sequence[Text], width: int, lines: int) -> list[Text]:
    """The parts side by side, in at most so many lines; what comes last is left out."""
    made: list[Text] = []
    for part in parts:
        if made and made[-1].cell_len + 3 + part.cell_len <= width:
            made[-1].append("   ").append_text(part)
        elif len(made) == lines:
            break
        else:
            part.truncate(width, overflow="ellipsis")
            made.append(_empty().append_text(part))
    return made


def _heading(column: Column[T], mark: Mark | None) -> Text:
    if mark is None or column.heading != mark.heading:
        return Text(column.heading, style="bold")
    return Text(column.heading + mark.arrow, style="bold underline")


def _widths(columns: Sequence[Column[T]], needs: Sequence[int], width: int) -> list[int]:
    """Cells for each column, 0 where it has to go."""
    kept = dict(enumerate(columns))

    def least(place: int) -> int:
        return min(needs[place], _COMFORT) if columns[place].is_text else needs[place]

    while sum(map(least, kept)) + _GAP * (len(kept) - 1) > width:
        last = max(kept, key=lambda place: (kept[place].rank, place))
        if kept[last].rank == 0:
            break
        del kept[last]
    rest = width - _GAP * (len(kept) - 1)
    rest -= sum(needs[place] for place in kept if not columns[place].is_text)
    found = [needs[place] if place in kept else 0 for place in range(len(columns))]
    texts = sorted((place for place in kept if columns[place].is_text), key=needs.__getitem__)
    for number, place in enumerate(texts):
        found[place] = max(min(needs[place], rest // (len(texts) - number)), 1)
        rest -= found[place]
    return found


def _put(line: Text, cell: Text, room: int, is_text: bool) -> None:
    if cell.cell_len > room:
        cell = Text(middle(cell.plain, room), style=cell.style)
    padding = " " * (room - cell.cell_len)
    if not is_text:
        line.append(padding)
    line.append_text(cell)
    if is_text:
        line.append(padding)


def _empty() -> Text:
    return Text(no_wrap=True, overflow="crop")
