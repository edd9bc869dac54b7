"""One clock for all hosts: moments of each host's monotonic clock, told in the server's time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from loco_redis.cli.bench._clock import Reading, best, nearest
from loco_redis.cli.bench._result import HostResult
from loco_redis.cli.play._oracle import Held


class Timebase:
    """Hosts that share a monotonic clock (one machine) are compared exactly; others by the readings
    of each against the server, right within the sum of their errors."""

    def __init__(self, results: Sequence[HostResult]) -> None:
        self._readings: dict[str, tuple[Reading, ...]] = {}
        for result in results:
            if result.readings:
                known = self._readings.get(result.domain)
                if known is None or best(result.readings).error < best(known).error:
                    self._readings[result.domain] = result.readings

    def seconds(self, domain: str, nanoseconds: int) -> float:
        """The server's time at a moment of a clock, in seconds."""
        at = nanoseconds / 1e9
        return at + nearest(self._readings[domain], at).offset

    def doubt(self, one: str, other: str) -> float:
        """By how many seconds the order of moments of two clocks may be wrong."""
        return 0.0 if one == other else self._error(one) + self._error(other)

    def certain(self, held: Held) -> Held:
        """As short as it may have been, where clocks have to be compared."""
        if len(self._readings) == 1:
            return held
        error = min(self._error(held.clock), (held.end - held.start) / 2)
        return replace(held, start=held.start + error, end=held.end - error)

    def _error(self, domain: str) -> float:
        return max(reading.error for reading in self._readings[domain])
