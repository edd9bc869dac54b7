"""One answer of a benchmark, and what it has to reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import quantiles
from typing import Any


@dataclass(frozen=True, slots=True)
class Must:
    """A bound: the figure has to be at most, or at least, `limit`."""

    limit: float
    at_least: bool = False

    def holds(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of the table.

    Attributes:
        question: what was asked.
        value: the answer, in `unit` ("x" is a ratio).
        must: what it has to reach, or None if it is only reported.
        detail: where the value comes from: medians, spread, the measured parts.
        data: what a plot needs of it: measured numbers by name.
    """

    question: str
    value: float
    unit: str
    must: Must | None
    detail: str
    data: Mapping[str, Any] | None = None

    @property
    def ok(self) -> bool:
        return self.must is None or self.must.holds(self.value)

    @property
    def text(self) -> str:
        digits = 0 if self.value >= 100 else 2
        return f"{self.value:.{digits}f} {self.unit}"


def spread(values: list[float], digits: int = 0) -> str:
    """The middle half of the values, as text."""
    if len(values) < 2:
        return f"{values[0]:.{digits}f}"
    low, _, high = quantiles(values, n=4, method="inclusive")
    return f"{low:.{digits}f}-{high:.{digits}f}"
