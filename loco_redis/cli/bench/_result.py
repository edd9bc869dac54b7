"""What a host hands in after a run: compressed histograms, and a compact account of all bodies."""

from __future__ import annotations

import json
import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

from loco_redis.cli.bench._arrivals import Agents
from loco_redis.cli.bench._clock import Reading
from loco_redis.cli.bench._figures import BenchPlan
from loco_redis.cli.bench._histogram import Histogram
from loco_redis.cli.bench._journal import Body, Missed

_COLUMNS = ("kind", "slot", "token", "due", "start", "end", "killed")


@dataclass(frozen=True, slots=True)
class Hold:
    """One body, by its host's monotonic clock in nanoseconds; `killed`: its worker, at `end`."""

    kind: int
    slot: int
    token: int
    due: int
    start: int
    end: int
    killed: bool


@dataclass(frozen=True, slots=True)
class ClassCount:
    """One class of agents on one host: `wait` is an encoded histogram of the measured time."""

    grants: int
    unserved: int
    wait: str


@dataclass(frozen=True, slots=True)
class HostResult:
    """All of one host in one run.

    Attributes:
        domain: names the clock, see `_clock.domain`.
        start: the start of the run by that clock, in seconds.
        classes: in the order of the plan's classes.
        agents: of each agent with a wait in the measured time: how many, and their sum in seconds.
        kills: when workers were killed on purpose, by that clock, in nanoseconds.
        arrivals: due in each second of the measured time.
        holds: of the whole run with its warm-up, ordered by start.
    """

    name: str
    workers: int
    domain: str
    start: float
    cpu: float
    errors: dict[str, int]
    kills: tuple[int, ...]
    readings: tuple[Reading, ...]
    classes: tuple[ClassCount, ...]
    agents: dict[str, tuple[int, float]]
    arrivals: tuple[int, ...]
    holds: tuple[Hold, ...]

    def packed(self) -> bytes:
        head = asdict(self)
        del head["holds"]
        return (
            json.dumps(head, separators=(",", ":")).encode()
            + b"\n"
            + zlib.compress(_columns(self.holds))
        )

    @classmethod
    def unpacked(cls, packed: bytes) -> HostResult:
        head, _, body = packed.partition(b"\n")
        values: dict[str, Any] = json.loads(head)
        values["readings"] = tuple(Reading(**r) for r in values["readings"])
        values["classes"] = tuple(ClassCount(**c) for c in values["classes"])
        values["agents"] = {name: (n, total) for name, (n, total) in values["agents"].items()}
        for name in ("arrivals", "kills"):
            values[name] = tuple(values[name])
        return cls(**values, holds=tuple(_holds(zlib.decompress(body))))


def _columns(holds: Sequence[Hold]) -> bytes:
    """Column after column of 64-bit numbers, each as the difference to the one before: most are
    small, and compress well."""
    numbers = array("q")
    for name in _COLUMNS:
        before = 0
        for hold in holds:
            now = getattr(hold, name)
            numbers.append(now - before)
            before = now
    return _little_endian(numbers).tobytes()


def _holds(raw: bytes) -> Iterable[Hold]:
    numbers = array("q", raw)
    _little_endian(numbers)
    length = len(numbers) // len(_COLUMNS)
    columns = [
        accumulate(numbers[place * length : (place + 1) * length]) for place in range(len(_COLUMNS))
    ]
    for kind, slot, token, due, start, end, killed in zip(*columns, strict=True):
        yield Hold(kind, slot, token, due, start, end, bool(killed))


def _little_endian(numbers: array[int]) -> array[int]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


class Tally:
    """Counts what the workers of one host wrote down. All times in nanoseconds.

    A request counts if it was *due* in the measured time, so that what waits past its end is in.
    """

    def __init__(self, plan: BenchPlan, start: int) -> None:
        self._agents = Agents.of(plan)
        self._from = start + round(plan.warmup * 1e9)
        self._to = self._from + round(plan.duration * 1e9)
        kinds = self._agents.classes
        self._waits = [Histogram() for _ in kinds]
        self._grants, self._unserved = [0] * len(kinds), [0] * len(kinds)
        self._sums: dict[int, tuple[int, int]] = {}
        self._due = [0] * max(1, round(plan.duration))
        self._holds: list[Hold] = []

    def add(self, found: Iterable[Body | Missed], end: int, *, killed: bool) -> None:
        """Take in one worker's journal; `end` is when it ended, with it all bodies that it had."""
        for entry in found:
            if isinstance(entry, Missed):
                self._wait(entry.kind, entry.agent, entry.due, entry.until, served=False)
            else:
                self._wait(entry.kind, entry.agent, entry.due, entry.start, served=True)
                last = end if entry.end is None else entry.end
                self._holds.append(
                    Hold(
                        entry.kind,
                        entry.slot,
                        entry.token,
                        entry.due,
                        entry.start,
                        last,
                        killed and entry.end is None,
                    )
                )

    def _wait(self, kind: int, agent: int, due: int, until: int, *, served: bool) -> None:
        if not self._from <= due < self._to:
            return
        wait = until - due
        self._waits[kind].record(wait)
        number, total = self._sums.get(agent, (0, 0))
        self._sums[agent] = (number + 1, total + wait)
        (self._grants if served else self._unserved)[kind] += 1
        second = (due - self._from) // 10**9
        self._due[min(second, len(self._due) - 1)] += 1

    def classes(self) -> tuple[ClassCount, ...]:
        counts = zip(self._grants, self._unserved, self._waits, strict=True)
        return tuple(ClassCount(grants, missed, wait.encoded()) for grants, missed, wait in counts)

    def agents(self) -> dict[str, tuple[int, float]]:
        names = self._agents.names
        return {names[agent]: (n, total / 1e9) for agent, (n, total) in self._sums.items()}

    def arrivals(self) -> tuple[int, ...]:
        return tuple(self._due)

    def holds(self) -> tuple[Hold, ...]:
        return tuple(sorted(self._holds, key=lambda hold: hold.start))
