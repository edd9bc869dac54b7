"""How many workers a backlog needs: from one look at its resource, or better from several.

    lanes   = max(running, arrivals * service + backlog * service / slo)
    workers = ceil(min(lanes, slots) / concurrency)

The first product is Little's law (the lanes that keep up with what comes in), the second the lanes
that work off within `slo` seconds what has piled up. One look knows no arrivals: then what runs
counts as part of the backlog. What runs is never given up for a smaller figure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple, Self

from loco_redis import _validate as validate
from loco_redis.snapshots import Holder, Snapshot

DEFAULT_SLO = 30.0  # seconds
DEFAULT_CONCURRENCY = 8  # as of `scheduler.worker`

MOST_WORKERS = 10_000
_MOST_CONCURRENT = 10_000
_LONGEST_SLO = 30 * 86_400.0
_ROUNDING = 1e-9  # of a worker: what floats make too much


@dataclass(frozen=True, slots=True)
class Load:
    """What there is to do for the workers of a resource.

    Attributes:
        backlog: pieces of work that might run now and do not.
        running: pieces of work that run.
        slots: how many may run at once over the fleet.
        service: mean seconds that one takes; None where nothing is known.
        arrivals: how many come in a second; None where one look is all there is.

    Raises:
        ValueError: any of them below 0, or not a number.
    """

    backlog: int
    running: int
    slots: int
    service: float | None = None
    arrivals: float | None = None

    def __post_init__(self) -> None:
        for name in ("backlog", "running", "slots"):
            validate.count(name, getattr(self, name), 0, 1 << 53)
        for name in ("service", "arrivals"):
            if getattr(self, name) is not None:
                validate.number(name, getattr(self, name), 0, 1e12)

    @classmethod
    def of(cls, snapshot: Snapshot, *, requests: bool = False) -> Self:
        """As far as one look knows it.

        The service time is twice the median age of what is held: right where all take the same,
        1.4 times the mean where times are exponential, and not moved by a lease that is stuck.

        Args:
            requests: whether waiting requests and the leases of `acquire` count, too: for workers
                that call `acquire` themselves. Workers that `serve` can do nothing for those.
        """
        tasks = [holder for holder in snapshot.holders if holder.task_id is not None]
        held = _running_tasks(snapshot)
        queued = snapshot.durable_tasks - snapshot.dead_tasks - snapshot.delayed_tasks - held
        backlog = max(queued, 0) + (snapshot.waiting if requests else 0)
        timed: Sequence[Holder] = snapshot.holders if requests or not tasks else tasks
        return cls(
            backlog=backlog,
            running=snapshot.held if requests else held,
            slots=snapshot.effective_capacity,
            service=2 * median(holder.age for holder in timed) if timed else None,
        )

    def lanes(self, slo: float) -> float:
        """Pieces of work that have to run at once, were there slots for all."""
        if self.service is None:  # one is enough to learn how long they take
            return max(self.running, 1 if self.backlog else 0)
        if self.arrivals is None:
            needed = (self.backlog + self.running) * self.service / slo
        else:
            needed = self.arrivals * self.service + self.backlog * self.service / slo
        # However short: with something to do there is somebody to do it.
        return max(needed, self.running, 1 if self.backlog else 0)


def desired_workers(
    load: Load | Snapshot,
    *,
    slo: float = DEFAULT_SLO,
    concurrency: int = DEFAULT_CONCURRENCY,
    min: int = 0,
    max: int | None = None,
    current: int | None = None,
    factor: float = 1.5,
) -> int:
    """How many workers there should be; pure.

    More than the slots can keep busy are never asked for, but for `min`.

    Args:
        load: a snapshot counts as `Load.of` it.
        slo: seconds in which the backlog should be worked off.
        concurrency: what one worker does at once.
        min, max: bounds; None: only the slots.
        current: how many there are: then at most `factor` times as many, or one more.

    Raises:
        ValueError: bad arguments.
    """
    if isinstance(load, Snapshot):
        load = Load.of(load)
    slo = validate.seconds("slo", slo, 0.001, _LONGEST_SLO)
    concurrency = validate.count("concurrency", concurrency, 1, _MOST_CONCURRENT)
    least = validate.count("min", min, 0, MOST_WORKERS)
    most = MOST_WORKERS if max is None else validate.count("max", max, 0, MOST_WORKERS)
    if most < least:
        raise ValueError(f"max must not be below min, got min={least}, max={most}")
    factor = validate.number("factor", factor, 1, 1000)
    lanes = _smaller(load.lanes(slo), load.slots)
    wanted: float = math.ceil(lanes / concurrency - _ROUNDING)
    if current is not None:
        current = validate.count("current", current, 0, MOST_WORKERS)
        grown = math.floor(current * factor + _ROUNDING)
        wanted = _smaller(wanted, grown if grown > current else current + 1)
    return int(_greater(least, _smaller(most, wanted)))


class Looks:
    """What several looks at a resource tell beyond the last one: arrivals, and the mean service
    time by Little's law (slots held, times the seconds that they were, by the leases that ended).

    Args:
        window: seconds after which what was seen counts for a third.
        requests: as of `Load.of`.

    Raises:
        ValueError: bad arguments.
    """

    _LEAST_SPAN = 5.0  # seconds: arrivals of a shorter time say little

    def __init__(self, window: float = 60.0, *, requests: bool = False) -> None:
        self._window = validate.seconds("window", window, 1, 86_400)
        self._requests = requests
        self._last: tuple[Snapshot, Load] | None = None
        self._seen = _Seen()

    def __repr__(self) -> str:
        return f"<Looks of {self._seen.seconds:.1f} s service={self._seen.service}>"

    def saw(self, snapshot: Snapshot) -> Load:
        """The load as of this look and those before it; its holders should be listed."""
        once = Load.of(snapshot, requests=self._requests)
        last, self._last = self._last, (snapshot, once)
        if last is not None:
            before = last[0]
            if before.born != snapshot.born or before.granted > snapshot.granted:
                self._seen = _Seen()  # the server was emptied, or set back
            elif before.server_time < snapshot.server_time:
                self._seen = self._seen.then(*last, snapshot, once, self._window)
        seen, arrivals = self._seen, None
        if seen.seconds >= self._LEAST_SPAN:
            arrivals = seen.came(1.0 if self._requests else seen.share) / seen.seconds
        # Of work that takes longer than it was looked at only ages tell.
        service = once.service if seen.service is None else seen.service
        return Load(once.backlog, once.running, once.slots, service, arrivals)


class _Seen(NamedTuple):
    """Sums over looks; each fades with time, so that their ratios are of the last while."""

    seconds: float = 0.0
    held: float = 0.0  # slots held, times seconds
    tasks: float = 0.0  # those of them that were held for durable tasks
    ended: float = 0.0  # leases
    granted: float = 0.0
    backlog: float = 0.0  # by how much it grew

    @property
    def service(self) -> float | None:
        """Mean seconds of a lease; None while none was seen, or none ended."""
        return self.held / self.ended if self.held and self.ended else None

    @property
    def share(self) -> float:
        """Of what was held, that for durable tasks: grants are not counted by kind."""
        return self.tasks / self.held if self.held else 0.0

    def came(self, share: float) -> float:
        """Pieces of work that came in, as far as such a share of the grants counts."""
        return _greater(self.granted * share + self.backlog, 0.0)

    def then(self, before: Snapshot, was: Load, now: Snapshot, load: Load, window: float) -> Self:
        """With what happened between two looks."""
        seconds = now.server_time - before.server_time
        tasks = _running_tasks(before) + _running_tasks(now)
        happened = (
            seconds,
            (before.held + now.held) / 2 * seconds,
            tasks / 2 * seconds,
            now.released + now.reclaimed - before.released - before.reclaimed,
            now.granted - before.granted,
            load.backlog - was.backlog,
        )
        fade = math.exp(-seconds / window)
        return type(self)(*(old * fade + new for old, new in zip(self, happened, strict=True)))


def _running_tasks(snapshot: Snapshot) -> int:
    """Durable tasks that run: of a list of holders that was cut short, its share of all held."""
    there = snapshot.durable_tasks - snapshot.dead_tasks - snapshot.delayed_tasks
    most: float = _smaller(snapshot.held, there)
    if snapshot.holders:
        listed = sum(holder.task_id is not None for holder in snapshot.holders)
        most = _smaller(most, round(snapshot.held * listed / len(snapshot.holders)))
    return int(_greater(most, 0))


# `min` and `max` are arguments here.
def _smaller(one: float, other: float) -> float:
    return one if one < other else other


def _greater(one: float, other: float) -> float:
    return one if one > other else other
