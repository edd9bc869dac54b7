"""The network between one process and the server."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.transport import Connection

_RARE = 0.02  # share of packets that take long


class Link:
    """The network between one process and the server, and what is wrong with it just now.

    Attributes:
        partitioned: nothing passes, and nobody is told; what was sent meanwhile comes through at
            `healed`, or, if that is 0, never: the connections that it was sent by stay half open.
        slow: seconds that each packet takes longer.
        mute: hints get lost; tardy: seconds by which they are late.
        repeats: so many of the next commands are carried out twice.
        beats: what happens to the next heartbeats: the "request" or the "reply" is lost, or it
            arrives "late", when its sender has given it up.
        gone: the process is dead: what comes is for nobody.
    """

    def __init__(self, process: Process) -> None:
        self.process, self.world = process, process.world
        self._chance = process.world.chance(f"{process.name}:link")
        self.connections: list[Connection] = []
        self.done: Counter[str] = Counter()
        self.heal()
        self.gone = False

    def heal(self) -> None:
        self.partitioned = self.mute = False
        self.slow = self.tardy = self.healed = 0.0
        self.repeats = 0
        self.beats: deque[str] = deque()

    def delay(self) -> float:
        """How long a packet takes."""
        chance = self._chance
        base = chance.uniform(0.0002, 0.003)
        if chance.random() < _RARE:
            base += chance.uniform(0.01, min(0.15, self.world.plan.lease / 10))
        return base + self.slow

    @property
    def reaches(self) -> bool:
        return not self.partitioned and not self.gone

    def of(self, kind: str) -> Iterable[Connection]:
        """The open connections of a kind: outbox, inbox or both."""
        return [c for c in self.connections if kind in ("both", c.kind)]
