"""The figures of a run: percentiles of waits, and Jain's fairness index."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Nearest-rank percentiles and the mean of a sample; all 0.0 of an empty one."""

    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    mean: float = 0.0

    @classmethod
    def of(cls, sample: Sequence[float]) -> Self:
        if not sample:
            return cls()
        ordered = sorted(sample)
        return cls(
            p50=nearest_rank(ordered, 50),
            p95=nearest_rank(ordered, 95),
            p99=nearest_rank(ordered, 99),
            mean=math.fsum(ordered) / len(ordered),
        )


@dataclass(frozen=True, slots=True)
class AgentFigures:
    """What one agent got: grants, cost settled, and how long its requests waited for them."""

    agent: str
    grants: int
    cost: float
    seconds: Percentiles
    ticks: Percentiles


def nearest_rank(ordered: Sequence[float], percent: int) -> float:
    """The smallest value that at least `percent` of the values do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def jain(values: Sequence[float]) -> float:
    """Jain's fairness index (sum x)^2 / (n * sum x^2): 1.0 when all are equal, 1/n at worst.

    1.0 too when there is nothing to compare: no values, or only zeros.
    """
    squares = math.fsum(value * value for value in values)
    if not squares:
        return 1.0
    return math.fsum(values) ** 2 / (len(values) * squares)
