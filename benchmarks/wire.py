"""Wires between network namespaces for benchmarks/hosts.sh, where the kernel has no `tc netem`.

    wire.py LEFT:RIGHT:DELAY:JITTER:LOSS ...       (milliseconds, milliseconds, percent)

Makes a pair of TAP devices for each wire, in the namespace that it runs in, says "ready", and
carries frames between the two, both ways, until it is killed; the devices go with it. Each frame is
late by DELAY +- JITTER (so frames may overtake each other, as with netem) or lost. A device may be
moved into another namespace meanwhile.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import os
import random
import select
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

_TUNSETIFF = 0x400454CA
_TAP, _NO_INFO = 0x0002, 0x1000
_LONGEST_FRAME = 65536
_MOST_UNDER_WAY = 1000  # frames on all wires; netem's limit for one


@dataclass(frozen=True, slots=True)
class Wire:
    """Names of two devices and what is between them; seconds, and a share from 0 to 1."""

    left: str
    right: str
    delay: float
    jitter: float
    loss: float

    @classmethod
    def parse(cls, words: str) -> Wire:
        """Raises ValueError."""
        left, right, *numbers = words.split(":")
        delay, jitter, loss = (float(number) for number in numbers)
        if min(delay, jitter, loss) < 0 or loss > 100:
            raise ValueError(f"a delay below 0, or a loss that is no percentage: {words!r}")
        return cls(left, right, delay / 1000, jitter / 1000, loss / 100)

    def lateness(self, rng: random.Random) -> float | None:
        """Of the next frame, in seconds; None: it is lost."""
        if rng.random() < self.loss:
            return None
        return max(0.0, self.delay + rng.uniform(-self.jitter, self.jitter))


def device(name: str) -> int:
    """A new TAP device, as a file to read frames from and write them to."""
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP | _NO_INFO))
    return tap


def carry(ways: dict[int, tuple[int, Wire]], rng: random.Random) -> None:
    """For ever, from each file to the other end of its wire."""
    under_way: list[tuple[float, int, int, bytes]] = []
    number = count()
    while True:
        left = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        readable, _, _ = select.select([*ways], [], [], left)
        for tap in readable:
            other, wire = ways[tap]
            with contextlib.suppress(OSError):  # it is down
                frame = os.read(tap, _LONGEST_FRAME)
                late = wire.lateness(rng)
                if late is not None and len(under_way) < _MOST_UNDER_WAY:
                    entry = (time.monotonic() + late, next(number), other, frame)
                    heapq.heappush(under_way, entry)
        while under_way and under_way[0][0] <= time.monotonic():
            _, _, other, frame = heapq.heappop(under_way)
            with contextlib.suppress(OSError):  # it is down, or full: as on a real wire
                os.write(other, frame)


def main(arguments: Sequence[str]) -> None:
    wires = [Wire.parse(words) for words in arguments]
    ways: dict[int, tuple[int, Wire]] = {}
    for wire in wires:
        left, right = device(wire.left), device(wire.right)
        ways[left], ways[right] = (right, wire), (left, wire)
    print("ready", flush=True)
    carry(ways, random.Random(1))


if __name__ == "__main__":
    main(sys.argv[1:])
