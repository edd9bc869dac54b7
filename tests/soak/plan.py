"""What is going to be done to the fleet and its server, and when: by the seed alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of fault: how often among those of its table, and from how many leases to how many it
    lasts (0 to 0: a moment)."""

    name: str
    share: int
    least: float
    most: float


WORKER_KINDS = (
    Kind("killed", 3, 0, 0),
    Kind("stopped", 4, 0.2, 3),
    Kind("blocked", 3, 0.2, 3),
    Kind("cut", 4, 0, 0),
    Kind("half_open", 2, 0, 0),
    Kind("replies_lost", 4, 0.5, 1),
    Kind("repeated", 4, 0.5, 1),
    Kind("stalled", 4, 0.1, 2),
    Kind("silent", 3, 0.1, 2),
    Kind("muted", 3, 1, 4),
    Kind("cancelled", 4, 0, 0),
)
SERVER_KINDS = (
    Kind("server_killed", 2, 0.1, 2),
    Kind("server_emptied", 1, 0.1, 2),
    Kind("flushall", 1, 0, 0),
    Kind("script_flush", 2, 0.5, 1),
    Kind("full", 2, 0.3, 2),
    Kind("busy", 2, 0.1, 0.5),
    Kind("read_only", 2, 0.2, 2),
    Kind("server_stopped", 2, 0.1, 2),
    Kind("clients_killed", 2, 0, 0),
    Kind("resized", 2, 1, 3),
    Kind("paused", 1, 0.2, 1.5),
)
# Leases between the end of a fault and the beginning of the next, of one worker and of the server.
_WORKER_PAUSE, _SERVER_PAUSE = (0.5, 6.0), (1.5, 4.0)


class Planned(NamedTuple):
    """A fault to come: `at` seconds after the beginning, for `lasts` seconds."""

    at: float
    kind: str
    lasts: float
    luck: float  # from 0 to 1, for whatever else is to be chosen


def plan(seed: str, kinds: tuple[Kind, ...], seconds: float, lease: float) -> list[Planned]:
    """The faults of one lane, which do not overlap: the server's, or one worker's."""
    rng = random.Random(seed)
    pause = _SERVER_PAUSE if kinds is SERVER_KINDS else _WORKER_PAUSE
    planned, at = [], lease * rng.uniform(*pause)
    for kind in _drawn(rng, kinds):
        lasts = lease * rng.uniform(kind.least, kind.most)
        if at + lasts > seconds:
            break
        planned.append(Planned(at, kind.name, lasts, rng.random()))
        at += lasts + lease * rng.uniform(*pause)
    return planned


def _drawn(rng: random.Random, kinds: tuple[Kind, ...]) -> Iterator[Kind]:
    """As from a bag that is filled again when it is empty: so none is missing for long."""
    while True:
        bag = [kind for kind in kinds for _ in range(kind.share)]
        rng.shuffle(bag)
        yield from bag
