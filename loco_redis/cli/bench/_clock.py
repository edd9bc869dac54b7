"""How a host's monotonic clock and the server's clock belong together.

The server is asked for its time; the answer was made between asking and hearing, so the middle is
right within half of that round trip (Cristian's algorithm). The quickest round trip counts.
"""

from __future__ import annotations

import platform
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_WINDOW = 10.0  # seconds of which the best sample is kept: clocks drift apart by microseconds in it


@dataclass(frozen=True, slots=True)
class Reading:
    """At `at` of the host's monotonic clock, add `offset` to get the server's time; `error` is the
    most by which that is wrong. All in seconds."""

    at: float
    offset: float
    error: float


class Clock:
    """Readings of one host, the best of every ten seconds."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self._begun = -float("inf")

    def sample(self, server_time: Callable[[], tuple[int, int]]) -> None:
        """Ask once; `server_time` is the TIME command's answer: seconds and microseconds."""
        before = time.monotonic()
        seconds, micros = server_time()
        after = time.monotonic()
        middle = (before + after) / 2
        reading = Reading(middle, seconds + micros / 1e6 - middle, (after - before) / 2)
        if middle - self._begun > _WINDOW:
            self._begun = middle
            self.readings.append(reading)
        elif reading.error < self.readings[-1].error:
            self.readings[-1] = reading


def nearest(readings: Sequence[Reading], at: float) -> Reading:
    """The reading that was made closest to a moment."""
    return min(readings, key=lambda reading: abs(reading.at - at))


def best(readings: Sequence[Reading]) -> Reading:
    return min(readings, key=lambda reading: reading.error)


def domain() -> str:
    """Names the clock: processes with the same one read the same monotonic clock.

    Network namespaces and containers of one machine share it.
    """
    boot = Path("/proc/sys/kernel/random/boot_id")
    if boot.exists():
        return boot.read_text().strip()
    return f"{platform.node()}/{uuid.getnode():x}"
