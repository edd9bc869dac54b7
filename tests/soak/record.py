"""What was on when: each fault that was made, and each moment in which this machine was slow.

All times are `time.monotonic()`, which all processes of a machine share.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

SLOW = "slow_machine"  # a process did not get to run
LATE = "late_dump"  # the checker had to wait for the server


@dataclass
class Span:
    """A fault, from `begin` to `end`; `worker` is the number of the one it was done to, or None for
    the server's faults, or a slowness of the soak itself."""

    kind: str
    worker: int | None
    begin: float
    end: float
    pid: int = 0

    def __str__(self) -> str:
        whom = "" if self.worker is None else f" of worker {self.worker}"
        return f"{self.kind}{whom} at {self.begin:.2f} for {self.end - self.begin:.2f} s"


class Record:
    """All spans so far, in the order in which they began."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.epoch = time.monotonic()

    @contextmanager
    def during(self, kind: str, worker: int | None = None, pid: int = 0) -> Iterator[Span]:
        """A fault that is on inside the block."""
        span = Span(kind, worker, time.monotonic(), float("inf"), pid)
        self.spans.append(span)
        try:
            yield span
        finally:
            span.end = time.monotonic()

    def moment(self, kind: str, worker: int | None = None, pid: int = 0) -> float:
        now = time.monotonic()
        self.spans.append(Span(kind, worker, now, now, pid))
        return now

    def slow(self, worker: int | None, begin: float, end: float) -> None:
        self.spans.append(Span(SLOW, worker, begin, end))

    def within(self, begin: float, end: float) -> list[Span]:
        return [span for span in self.spans if span.begin <= end and span.end >= begin]

    def counts(self) -> dict[str, int]:
        """How often each kind of fault was on."""
        found: dict[str, int] = {}
        for span in self.spans:
            if span.kind not in (SLOW, LATE):
                found[span.kind] = found.get(span.kind, 0) + 1
        return found


def covered(spans: Iterable[Span], begin: float, end: float) -> float:
    """Seconds from `begin` to `end` in which at least one of the spans was on."""
    total, reached = 0.0, begin
    for span in sorted(spans, key=lambda span: span.begin):
        first, last = max(span.begin, reached), min(span.end, end)
        if last > first:
            total += last - first
            reached = last
    return total


Slow = Callable[[float, float], None]


def log_to(stream: TextIO, who: str, level: str) -> None:
    """What this process logs goes there, each line with the clock that all processes share."""

    def stamp(record: logging.LogRecord) -> bool:
        record.at = time.monotonic()
        return True

    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(f"%(at).3f {who}: %(message)s"))
    handler.addFilter(stamp)
    logging.basicConfig(level=level, handlers=[handler], force=True)


class Pulse:
    """Tells of gaps between looks at the clock that were meant to be `PERIOD` apart."""

    PERIOD, GAP = 0.02, 0.1

    def __init__(self, tell: Slow) -> None:
        self._tell, self._last = tell, time.monotonic()

    def beat(self) -> None:
        now = time.monotonic()
        if now - self._last > self.GAP:
            self._tell(self._last, now)
        self._last = now
