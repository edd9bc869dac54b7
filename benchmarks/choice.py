"""Does choosing stay cheap? Server time per acquire + release, with many waiting against with few.

Two schedulers live on one server, one with a small crowd, one with a large. Slices of turns are run
on each in alternation, so what else the machine does meets both; a case is the median of the ratios
of neighbouring slices. The worst case counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import redis

from benchmarks import server
from benchmarks.crowd import Arrival, Crowd, Turns
from benchmarks.figure import Figure, Must, spread
from loco_redis._server import EmbeddedServer

ALPHAS = (0.0, 0.25, 0.5)
ARRIVALS = [
    Arrival(weights, burst)
    for weights in ("equal", "random", "continuous")
    for burst in (False, True)
]


@dataclass(frozen=True, slots=True)
class Case:
    """Microseconds per turn in each slice, of the small crowd and of the large."""

    label: str
    small: list[float]
    large: list[float]

    @property
    def ratio(self) -> float:
        return median(large / small for small, large in zip(self.small, self.large, strict=True))

    def __str__(self) -> str:
        small, large = median(self.small), median(self.large)
        return f"{self.label}: {large:.0f} us / {small:.0f} us = {self.ratio:.2f}"


def run(
    process: EmbeddedServer,
    *,
    small: int = 100,
    large: int = 100_000,
    slices: int = 11,
    turns: int = 60,
) -> list[Figure]:
    """Two rows: the worst case, and the median over all cases."""
    with server.connected(process) as client:
        cases = list(_cases(client, (small, large), slices, turns))
    worst = max(cases, key=lambda case: case.ratio)
    ratios = [case.ratio for case in cases]
    question = f"server time per acquire + release, {large:,} waiting agents / {small:,}"
    return [
        Figure(f"{question}: worst of {len(cases)} cases", worst.ratio, "x", Must(3), str(worst)),
        Figure(
            f"{question}: median case",
            median(ratios),
            "x",
            None,
            f"middle half of the cases {spread(ratios, 2)}",
        ),
    ]


def _cases(client: redis.Redis, sizes: tuple[int, int], slices: int, turns: int) -> Iterator[Case]:
    for arrival in ARRIVALS:
        client.execute_command("FLUSHALL", "SYNC")
        crowds = [Crowd(client, f"crowd_{size}", size, arrival) for size in sizes]
        for alpha in ALPHAS:
            for crowd in crowds:
                crowd.set_alpha(alpha)
                usec_per_turn(client, crowd, turns)  # the caches, and the bounds of the buckets
            times = [
                [usec_per_turn(client, crowd, turns) for crowd in crowds] for _ in range(slices)
            ]
            small, large = (list(column) for column in zip(*times, strict=True))
            yield Case(f"alpha {alpha:g}, {arrival}", small, large)


def usec_per_turn(client: redis.Redis, crowd: Turns, turns: int) -> float:
    """The server's time for one release, which grants, and one acquire, which waits."""
    with server.ServerTime(client) as time:
        for _ in range(turns):
            crowd.turn()
    return time.usec / turns
