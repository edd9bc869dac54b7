"""How long to wait before another attempt: exponential, with full jitter."""

from __future__ import annotations

import random as _random
from collections.abc import Callable
from dataclasses import dataclass

from loco_redis import _validate as validate

# 2**1000 still is a float; by then every cap is reached.
_MOST_DOUBLINGS = 1000
_YEAR = 365 * 86400.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double with each attempt, drawn from the whole range below: callers that failed
    together do not come back together (full jitter).

    Attributes:
        base: the most that is waited after the first attempt, in seconds, 0 to a year.
        cap: the most that is ever waited, in seconds, 0 to a year; with a cap of 0 nothing is.

    Raises:
        ValueError: a figure out of its range.
    """

    base: float = 1.0
    cap: float = 300.0

    def __post_init__(self) -> None:
        for name in ("base", "cap"):
            value = validate.seconds(name, getattr(self, name), 0, _YEAR)
            object.__setattr__(self, name, value)

    def ceiling(self, attempt: int) -> float:
        """The most that is waited after attempt `attempt`, in seconds: the first is 1."""
        validate.count("attempt", attempt, 1, 1 << 53)
        return min(self.cap, self.base * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS))

    def delay(self, attempt: int, random: Callable[[], float] = _random.random) -> float:
        """Seconds to wait after attempt `attempt` has failed: uniform from 0 to its `ceiling`.

        `random` returns a number from 0 to 1, for tests and for seeds of one's own.
        """
        return random() * self.ceiling(attempt)
