"""What a process measures of its own calls: plain counters and fixed buckets, cheap enough to be
always on.

Each loop's thread counts in an object of its own, so counting needs no lock. What schedulers of one
resource have counted is kept as long as one of them is there.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from loco_redis.errors import BackendError, BackendUnavailableError

if TYPE_CHECKING:
    from loco_redis._entry import Entry
    from loco_redis._outbox import Outbox

#: Upper bounds of the buckets in seconds; there is one more for what is above the last.
BOUNDS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)


class Latencies:
    """How long something took: a count for each bucket of `BOUNDS`, and the sum in seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def merge(self, other: Latencies) -> None:
        self.counts = [a + b for a, b in zip(self.counts, [*other.counts], strict=True)]
        self.total += other.total


class ProcessFigures:
    """The figures of one resource in one thread of this process.

    Attributes:
        scripts: by script or command: from sending it to its reply.
        retries: by script or command: how often it was sent again because no reply had come.
        handoff: from the grant in Redis to this process having it.
        lost_hints: grants that no reply and no hint had brought, found by polling.
    """

    __slots__ = ("_ahead", "_whole", "handoff", "lost_hints", "retries", "scripts")

    def __init__(self, whole: _Resource | None = None) -> None:
        self.scripts: dict[str, Latencies] = {}
        self.retries: Counter[str] = Counter()
        self.handoff = Latencies()
        self.lost_hints = 0
        self._ahead: float | None = None  # the server's clock minus time.monotonic()
        self._whole = whole  # lives as long as one of its parts is used

    def answered(self, script: str, sent_at: float) -> None:
        """`sent_at` by time.monotonic."""
        try:
            latencies = self.scripts[script]
        except KeyError:
            latencies = self.scripts[script] = Latencies()
        latencies.add(time.monotonic() - sent_at)

    def resent(self, entries: Iterable[Entry]) -> None:
        self.retries.update(entry.script for entry in entries)

    def granted(self, token: int) -> None:
        """A grant is here. Its token is the server's time in microseconds, as a rule."""
        if self._ahead is not None:
            self.handoff.add(max(0.0, time.monotonic() + self._ahead - token / 1e6))

    async def read_clock(self, outbox: Outbox, timeout: float) -> None:
        """Learn how far the server's clock is ahead; a user who may not ask measures no hand-off.

        Raises:
            BackendUnavailableError: no reply.
        """
        sent = time.monotonic()
        try:
            seconds, micros = map(int, (await outbox.send_raw(timeout, "TIME")).reply)
        except BackendUnavailableError:
            raise
        except BackendError:
            return
        self._ahead = seconds + micros / 1e6 - (sent + time.monotonic()) / 2

    def merge(self, other: ProcessFigures) -> None:
        for script, latencies in [*other.scripts.items()]:
            self.scripts.setdefault(script, Latencies()).merge(latencies)
        self.retries.update(dict(other.retries))
        self.handoff.merge(other.handoff)
        self.lost_hints += other.lost_hints


class _Resource:
    """The parts of a resource, by thread."""

    __slots__ = ("__weakref__", "parts")

    def __init__(self) -> None:
        self.parts: dict[int, ProcessFigures] = {}


_lock = threading.Lock()
_resources: WeakValueDictionary[str, _Resource] = WeakValueDictionary()


def figures_here(name: str) -> ProcessFigures:
    """Where schedulers of the resource `name` in this thread count."""
    with _lock:
        whole = _resources.get(name)
        if whole is None:
            whole = _resources[name] = _Resource()
        thread = threading.get_ident()
        if thread not in whole.parts:
            whole.parts[thread] = ProcessFigures(whole)
        return whole.parts[thread]


def process_figures() -> dict[str, ProcessFigures]:
    """By resource: what this process has measured, all its threads together."""
    with _lock:
        found = {name: [*whole.parts.values()] for name, whole in _resources.items()}
    merged = {}
    for name, parts in sorted(found.items()):
        merged[name] = ProcessFigures()
        for part in parts:
            merged[name].merge(part)
    return merged


def _forget() -> None:
    """A forked child has measured nothing yet."""
    global _lock
    _lock = threading.Lock()
    _resources.clear()


os.register_at_fork(after_in_child=_forget)
