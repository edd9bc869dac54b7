"""A recorded trace: reading its CSV, what each request weighs and takes, and whose it is."""

from __future__ import annotations

import csv
import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")

PREFILL_RATE = 2000  # context tokens a second
DECODE_TIME = 0.045  # seconds a generated token
OUTPUT_PRICE = 4  # of a generated token, in context tokens
_PER_WEIGHT = 1000  # tokens
_MOST_TOKENS = 10_000_000


class TraceError(ValueError):
    """The trace cannot be read; the message names the file, the line, and what is wrong."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded request; `at` is seconds after the first of the trace."""

    at: float
    context: int
    generated: int

    @property
    def weight(self) -> float:
        """The estimate it is submitted with: 1 per 1,000 tokens of any kind, at least 1."""
        return max(1.0, (self.context + self.generated) / _PER_WEIGHT)

    @property
    def cost(self) -> float:
        """The real cost it settles: per 1,000 tokens, a generated one priced as four."""
        return (self.context + OUTPUT_PRICE * self.generated) / _PER_WEIGHT

    @property
    def service(self) -> float:
        """Seconds it holds a slot: reading 2,000 context tokens a second, writing 22 a second."""
        return self.context / PREFILL_RATE + self.generated * DECODE_TIME


def read(path: Path, limit: int | None = None) -> list[Recorded]:
    """The first `limit` requests of a trace, all of them by default; at least one.

    Raises:
        TraceError: the first line that is malformed, or out of order of time.
        OSError: the file cannot be opened.
    """
    # Bytes that are not UTF-8 get as far as the check of their own line.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        try:
            trace = list(islice(_rows(reader), limit))
        except (ValueError, csv.Error) as error:
            raise TraceError(f"{path}, line {reader.line_num or 1}: {error}") from None
    if not trace:
        raise TraceError(f"{path}, line {reader.line_num}: no requests after the header")
    return trace


def _rows(reader: Iterator[list[str]]) -> Iterator[Recorded]:
    header = [name.strip() for name in next(reader, [])]
    if missing := [name for name in COLUMNS if name not in header]:
        raise ValueError(f"no column {missing[0]}: the header must name {', '.join(COLUMNS)}")
    places = [header.index(name) for name in COLUMNS]
    first: datetime | None = None
    last = 0.0
    for row in reader:
        if not row:
            continue
        if len(row) != len(header):
            raise ValueError(f"{len(row)} fields where the header has {len(header)}")
        timestamp, context, generated = (row[place].strip() for place in places)
        moment = _moment(timestamp)
        first = first or moment
        if (moment.tzinfo is None) != (first.tzinfo is None):
            raise ValueError(f"TIMESTAMP {timestamp!r}: some have a UTC offset and some have not")
        at = (moment - first).total_seconds()
        if at < last:
            raise ValueError(f"TIMESTAMP {timestamp!r} is earlier than the one before: sort them")
        last = at
        yield Recorded(at, _count(COLUMNS[1], context), _count(COLUMNS[2], generated))


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"TIMESTAMP {text!r} is not a time such as 2023-11-16 18:17:03.979960"
        ) from None


def _count(column: str, text: str) -> int:
    # int() would also take signs, underscores and digits of other scripts.
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ValueError(f"{column} {text[:40]!r} is not a whole number from 0")
    if (number := int(text)) > _MOST_TOKENS:
        raise ValueError(f"{column} {number} is more than {_MOST_TOKENS}")
    return number


def deal(count: int, agents: int) -> list[int]:
    """Whose each of `count` requests is: the trace does not tell, so shares fall as 1/1, 1/2, ...

    Each request in turn goes to the agent, 0 to `agents` - 1, that is furthest behind its share.
    """
    # An agent of share 1/(k+1) is due for its n-th request at (n - 1/2) * (k + 1).
    due = [((agent + 1) * 0.5, agent) for agent in range(agents)]
    heapq.heapify(due)
    owners = []
    for _ in range(count):
        when, agent = due[0]
        heapq.heapreplace(due, (when + agent + 1, agent))
        owners.append(agent)
    return owners
