"""The outside oracle: what the holders themselves saw, checked without asking Redis.

A worker notes when a body began and when it was about to give its slot back, by the machine's
monotonic clock, which all its processes share. Two holders of one slot index must not overlap, and
the later one must have the higher token. Where machines differ, clocks are compared with a doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Held:
    """One slot held from `start` to `end`, in seconds of the clock that `clock` names."""

    slot: int
    token: int
    start: float
    end: float
    clock: str = ""


#: By how many seconds may the order of moments of two clocks be wrong?
Doubt = Callable[[str, str], float]


def _none(one: str, other: str) -> float:
    return 0.0


def most_at_once(held: Iterable[Held]) -> int:
    """The most slots that were ever held at one moment."""
    # At one instant an end counts before a start: the slot went from hand to hand.
    changes = sorted(c for h in held for c in ((h.start, 1), (h.end, -1)))
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def violations(held: Iterable[Held], doubt: Doubt = _none) -> list[str]:
    """One line for each pair of neighbours on a slot that overlap or whose tokens do not rise."""
    ordered = sorted(held, key=lambda h: (h.slot, h.start, h.end))
    found = []
    for earlier, later in pairwise(ordered):
        if earlier.slot != later.slot:
            continue
        allowed = doubt(earlier.clock, later.clock)
        if later.start < earlier.end - allowed:
            found.append(
                f"slot {later.slot}: token {later.token} began "
                f"{earlier.end - later.start:.6f} s before token {earlier.token} ended"
            )
        if later.token <= earlier.token and later.start >= earlier.start + allowed:
            found.append(
                f"slot {later.slot}: token {later.token} follows {earlier.token}, it must be higher"
            )
    return found
