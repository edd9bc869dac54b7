"""How long agents waited: histograms whose buckets double in width."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from loco_redis import _validate as validate

Bound = TypeVar("Bound", int, float)
#: Octaves (ticks, microseconds) of a wait, and how many leases waited so long.
Cells = list[tuple[tuple[int, int], int]]

_MICROSECONDS = 1_000_000
_DIGITS = 2  # of each of the two octaves that begin a value of the dimension `wait`


@dataclass(frozen=True, slots=True)
class WaitTimes:
    """The waits of finished leases, from joining the queue to the grant.

    Means and quantiles are estimated by the middle of a bucket, so they are off by half at most.

    Attributes:
        count: finished leases.
        ticks: (lowest, highest) wait of a bucket in ticks -> leases, ascending.
        seconds: the same in seconds.
    """

    count: int
    ticks: Mapping[tuple[int, int], int]
    seconds: Mapping[tuple[float, float], int]

    @property
    def mean_ticks(self) -> float:
        """0.0 when nothing has finished, as all estimates."""
        return _mean(self.ticks)

    @property
    def mean_seconds(self) -> float:
        return _mean(self.seconds)

    @property
    def p50_ticks(self) -> float:
        return self.quantile_ticks(0.5)

    @property
    def p95_ticks(self) -> float:
        return self.quantile_ticks(0.95)

    @property
    def p50_seconds(self) -> float:
        return self.quantile_seconds(0.5)

    @property
    def p95_seconds(self) -> float:
        return self.quantile_seconds(0.95)

    def quantile_ticks(self, q: float) -> float:
        """The wait that a share `q` (0 to 1) of the leases did not exceed."""
        return _quantile(self.ticks, q)

    def quantile_seconds(self, q: float) -> float:
        return _quantile(self.seconds, q)


def split(value: str) -> tuple[str, tuple[int, int]]:
    """The agent and the octaves (ticks, microseconds) of a value of the dimension `wait`."""
    ends = 2 * _DIGITS
    return value[ends:], (int(value[:_DIGITS]), int(value[_DIGITS:ends]))


def wait_times(cells: Iterable[tuple[tuple[int, int], int]]) -> WaitTimes:
    """From the `Cells` of one agent or of several."""
    ticks: Counter[int] = Counter()
    micros: Counter[int] = Counter()
    for (tick_octave, micro_octave), leases in cells:
        ticks[tick_octave] += leases
        micros[micro_octave] += leases
    seconds = {
        (low / _MICROSECONDS, high / _MICROSECONDS): leases
        for (low, high), leases in _buckets(micros).items()
    }
    return WaitTimes(ticks.total(), _buckets(ticks), seconds)


def waits_by_agent(counted: Mapping[str, int]) -> dict[str, Cells]:
    """The dimension `wait`, by agent."""
    found: dict[str, Cells] = {}
    for value, leases in counted.items():
        agent, octaves = split(value)
        found.setdefault(agent, []).append((octaves, leases))
    return found


def jain(shares: Iterable[int]) -> float:
    """Jain's index, (sum x)^2 / (n * sum x^2): 1.0 when all shares are equal, 1/n when one has all.

    Jain, Chiu, Hawe: A Quantitative Measure of Fairness, DEC-TR-301, 1984.
    """
    shares = [*shares]
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


def _buckets(octaves: Counter[int]) -> dict[tuple[int, int], int]:
    """Octave 0 is a wait of 0, octave n one of n binary digits."""
    return {
        ((1 << octave) >> 1, (1 << octave) - 1): leases
        for octave, leases in sorted(octaves.items())
    }


def _mean(buckets: Mapping[tuple[Bound, Bound], int]) -> float:
    count = sum(buckets.values())
    total = sum((low + high) / 2 * leases for (low, high), leases in buckets.items())
    return total / count if count else 0.0


def _quantile(buckets: Mapping[tuple[Bound, Bound], int], q: float) -> float:
    rank = validate.number("q", q, 0, 1) * sum(buckets.values())
    passed, middle = 0, 0.0
    for (low, high), leases in buckets.items():
        passed, middle = passed + leases, (low + high) / 2
        if passed >= rank:
            break
    return middle
