"""Percentiles of spans of time in bounded memory: buckets of equal relative width."""

from __future__ import annotations

import math
from collections import Counter

#: How far an estimated percentile may be off, as a share of the true one.
RELATIVE_ERROR = 0.01

_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = math.log(_GAMMA)
# A microsecond to 30 years: at most 1,730 buckets.
_LEAST, _MOST = 1e-6, 1e9


class Latencies:
    """How long something took. A percentile is that of the nearest rank, off by 1 % of its value at
    most; the mean is exact.

    Bucket i holds what is above g**(i-1) and not above g**i, g being (1+a)/(1-a); its value is
    2*g**i/(g+1), which is off by a share of a at most (Masson, Rim, Lee: DDSketch, VLDB 2019).
    """

    __slots__ = ("_buckets", "_total", "count")

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._total = 0.0
        self.count = 0

    def __repr__(self) -> str:
        return f"<Latencies count={self.count} buckets={len(self._buckets)}>"

    def record(self, seconds: float) -> None:
        """Less than a microsecond counts as one, more than 30 years as 30 years."""
        seconds = min(max(seconds, _LEAST), _MOST)
        self._buckets[math.ceil(math.log(seconds) / _LOG_GAMMA)] += 1
        self._total += seconds
        self.count += 1

    @property
    def mean(self) -> float:
        """In seconds; 0.0 when nothing was recorded, as all figures."""
        return self._total / self.count if self.count else 0.0

    def quantile(self, q: float) -> float:
        """The span in seconds that a share `q` (0 to 1) did not exceed."""
        rank, passed = max(1, math.ceil(q * self.count)), 0
        for index, number in sorted(self._buckets.items()):
            passed += number
            if passed >= rank:
                return float(2 * _GAMMA**index / (_GAMMA + 1))
        return 0.0

    def clear(self) -> None:
        self._buckets.clear()
        self._total, self.count = 0.0, 0
