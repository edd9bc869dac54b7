"""All that a run has left behind to be judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.soak.record import Record

Violations = list[tuple[float, str]]


@dataclass
class Evidence:
    """Times are `time.monotonic()`; a process is named by its pid, a worker by its number.

    Attributes:
        gone: sessions that ended (`watch.py`).
        born: when the resource was stored anew.
        killed, opened_at, workers_by_pid: processes.
        stuck: callers that waited very long: since when, told when, who.
        granted_at: how many grants there had been, by time.
        oracle: what it found (`oracle.py`).
        left: rows that should not be there at rest.
        dead: ids of tasks that had used up their attempts.
        up: when a killed server answered again.
        memory: bytes of server (used, rss) and workers (each), at the start and at the end.
    """

    seed: int
    lease: float
    capacity: int
    processes: int
    callers: int
    seconds: float
    server: str
    record: Record
    violations: Violations
    gone: list[dict[str, Any]] = field(default_factory=list)
    born: list[dict[str, Any]] = field(default_factory=list)
    killed: dict[int, float] = field(default_factory=dict)
    opened_at: dict[int, float] = field(default_factory=dict)
    workers_by_pid: dict[int, int] = field(default_factory=dict)
    finishing_at: float = float("inf")
    stuck: list[tuple[float, float, str]] = field(default_factory=list)
    granted_at: list[tuple[float, int]] = field(default_factory=list)
    oracle: dict[str, Any] = field(default_factory=dict)
    checker: dict[str, Any] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)
    up: list[float] = field(default_factory=list)
    memory: list[tuple[int, int, list[int]]] = field(default_factory=list)
    scripts: dict[str, float] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)

    @property
    def reclaim_bound(self) -> float:
        """P4: a lease, the time until the next heartbeat of somebody alive, and a second for slow
        machines."""
        return self.lease + self.lease / 4 + 1.0
