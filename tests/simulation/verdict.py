"""What came of a run: the first thing that must not be, and a trace of all that happened."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from tests.simulation.clock import Clock


class Failure(NamedTuple):
    """`kind` is what must not be; two runs fail in the same way if it is the same."""

    kind: str
    detail: str
    at: float

    def __str__(self) -> str:
        return f"{self.at:.3f}  {self.kind}: {self.detail}"


class Verdict:
    """`fail` is told what must not be, `tell` what happens.

    Attributes:
        failure: the first.
        watches: whether anything counts any more.
    """

    def __init__(self, clock: Clock, trace: Callable[[str], None] | None) -> None:
        self._clock, self._trace = clock, trace
        self._hash = hashlib.sha256()
        self.failure: Failure | None = None
        self.watches = True

    @property
    def trace_hash(self) -> str:
        return self._hash.hexdigest()

    def fail(self, kind: str, detail: str) -> None:
        if self.failure is None and self.watches:
            self.failure = Failure(kind, detail, self._clock.now)
            self.tell(f"FAILED {kind}: {detail}")

    def tell(self, line: str) -> None:
        """A line of the trace."""
        self._hash.update(b"%.6f %b\n" % (self._clock.now, line.encode()))
        if self._trace is not None:
            self._trace(f"{self._clock.now:12.6f}  {line}")
