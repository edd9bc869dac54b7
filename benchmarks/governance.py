"""What does governance cost? Off, against the revision before it; on; and with many at their cap.

Grants per second as in `throughput`, by worker processes that take turns on one server: one of the
revision before governance (from this repository's history), two of this one. A process is a few
percent faster or slower for all its life, so each measures for a few rounds only, and others
follow: a ratio is the median over these sets of the ratio of their medians.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from statistics import median

import redis

from benchmarks import server
from benchmarks.choice import usec_per_turn
from benchmarks.crowd import Arrival, Crowd
from benchmarks.figure import Figure, Must, spread
from benchmarks.revision import ROOT, Worker, unpacked
from loco_redis._server import EmbeddedServer

BEFORE = "c709d2b"  # the last revision without governance

# Runs on both revisions: a worker that measures once for each line it reads.
_WORKER = """
import asyncio, itertools, os, sys
from benchmarks import throughput

throughput._names = itertools.count(os.getpid())  # the workers share a server, not a resource

async def main(url, tasks, grants, governed):
    async with throughput.ours(url, tasks) as slot:
        if governed:
            scheduler = slot.__closure__[0].cell_contents
            from loco_redis import BudgetManager, RatePolicy
            parts = BudgetManager(default_limit=1e9), RatePolicy(default_limit=5e6)
            for part in parts:
                await part._install(await scheduler._connected())
        await throughput.grants_per_second(slot, tasks, 2 * tasks)
        while sys.stdin.readline().strip():
            print(await throughput.grants_per_second(slot, tasks, grants), flush=True)

url, tasks, grants, governed = sys.argv[1:]
asyncio.run(main(url, int(tasks), int(grants), governed == "True"))
"""


def run(
    process: EmbeddedServer,
    *,
    sets: int = 7,
    rounds: int = 3,
    tasks: int = 50,
    grants: int = 3000,
    capped: int = 10_000,
    slices: int = 11,
    turns: int = 60,
) -> list[Figure]:
    """Off against before, on against off, and the next grant behind many capped agents."""
    with server.connected(process):
        figures = _rates(process.url, sets, rounds, tasks, grants)
    with server.connected(process) as client:
        figures += [_capped(client, tenant, capped, slices, turns) for tenant in (False, True)]
    return figures


def _measured(
    kinds: dict[str, tuple[Path, bool]], url: str, rounds: int, tasks: int, grants: int
) -> dict[str, float]:
    """The median rate of a worker of each kind, which take turns."""
    with ExitStack() as stack:
        workers = {
            name: Worker([root], _WORKER, url, tasks, grants, governed)
            for name, (root, governed) in kinds.items()
        }
        for worker in workers.values():
            stack.callback(worker.end)
        rates: dict[str, list[float]] = {name: [] for name in workers}
        for _ in range(rounds):
            for name, worker in workers.items():
                rates[name].append(worker.measure())
    return {name: median(found) for name, found in rates.items()}


def _rates(url: str, sets: int, rounds: int, tasks: int, grants: int) -> list[Figure]:
    rates: dict[str, list[float]] = {}
    with unpacked(BEFORE, "loco_redis", "benchmarks") as before:
        kinds = {"off": (ROOT, False), "on": (ROOT, True)}
        if before is not None:
            kinds["before"] = (before, False)
        for _ in range(sets):
            for name, rate in _measured(kinds, url, rounds, tasks, grants).items():
                rates.setdefault(name, []).append(rate)

    def row(slower: str, faster: str, question: str, limit: float) -> Figure:
        ratio = median(a / b for a, b in zip(rates[faster], rates[slower], strict=True))
        detail = " against ".join(
            f"{median(rates[name]):,.0f}/s ({spread(rates[name])})" for name in (faster, slower)
        )
        return Figure(question, ratio, "x", Must(limit), detail)

    figures = [row("on", "off", "a budget and a rate policy on, time per grant", 1.6)]
    if "before" in rates:
        what = f"nothing of governance on, time per grant against {BEFORE}"
        figures.insert(0, row("off", "before", what, 1.05))
    return figures


def _capped(client: redis.Redis, by_tenant: bool, capped: int, slices: int, turns: int) -> Figure:
    """Server time per release and acquire of one agent, with and without capped ones ahead."""
    arrival = Arrival("random", burst=False)
    alone = Crowd(client, "alone", 1, arrival)
    behind = Crowd(client, "behind", 1, arrival)
    behind.cap_ahead(capped, by_tenant=by_tenant)
    for crowd in (alone, behind):
        usec_per_turn(client, crowd, turns)
    times = [
        (usec_per_turn(client, alone, turns), usec_per_turn(client, behind, turns))
        for _ in range(slices)
    ]
    small, large = (list(column) for column in zip(*times, strict=True))
    client.execute_command("FLUSHALL", "SYNC")
    whom = "agents of a tenant at its cap" if by_tenant else "agents at their cap"
    return Figure(
        f"server time per acquire + release behind {capped:,} {whom} / with none",
        median(b / a for a, b in zip(small, large, strict=True)),
        "x",
        Must(3),
        f"{median(large):.0f} us against {median(small):.0f} us",
    )
