"""How many workers each resource asks for, from the looks that an exporter takes at it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from loco_redis.metrics.reading import Reading
from loco_redis.orchestration.scaling import (
    DEFAULT_CONCURRENCY,
    DEFAULT_SLO,
    Load,
    Looks,
    desired_workers,
)


@dataclass(frozen=True, slots=True)
class WorkerTarget:
    """What `loco_redis_desired_workers` is computed for.

    Attributes:
        slo: seconds in which what is queued should be worked off.
        concurrency: tasks that one worker does at once.
        requests: whether waiting requests count, too: for workers that call `acquire` themselves.

    Raises:
        ValueError: any of them out of range.
    """

    slo: float = DEFAULT_SLO
    concurrency: int = DEFAULT_CONCURRENCY
    requests: bool = False

    def __post_init__(self) -> None:
        self.of(Load(0, 0, 0))

    def of(self, load: Load) -> int:
        return desired_workers(load, slo=self.slo, concurrency=self.concurrency)


class DesiredWorkers:
    """Remembers the looks of a minute, by resource. Threads may share it."""

    def __init__(self, target: WorkerTarget) -> None:
        self._target = target
        self._looks: dict[str, Looks] = {}
        self._lock = threading.Lock()

    def of(self, reading: Reading) -> int:
        """With this look at the resource."""
        now = replace(reading.snapshot, holders=reading.requests.holders)
        with self._lock:
            if now.name not in self._looks:
                self._looks[now.name] = Looks(requests=self._target.requests)
            return self._target.of(self._looks[now.name].saw(now))
