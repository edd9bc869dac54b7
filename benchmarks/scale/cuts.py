"""What have the cuts brought? The load of `limit.py` with the scripts of an earlier revision, and
with a release and an acquire in one script, as a busy process sends them now.

Two processes take turns on one server, one with the code of the revision before the cuts (from this
repository's history; without it there is no row), one with this code.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median

from benchmarks import server
from benchmarks.figure import Figure, spread
from benchmarks.revision import ROOT, Worker, unpacked
from benchmarks.scale.limit import IDLE, SCARCE
from loco_redis._server import EmbeddedServer

BEFORE = "249f87c"  # the last revision before the cuts

# Measures once for each line that it reads: microseconds of the server's processor for a pair.
_WORKER = """
import sys
import redis
from benchmarks.scale.load import Load, run_for
from benchmarks.scale.usage import Usage
from benchmarks.scale.wire import Wires
from loco_redis._scripts import VERBS

url, name, seconds, waiting = sys.argv[1:]
with Wires() as wires, redis.Redis.from_url(url) as client:
    load = Load(wires, url, name, waiting=int(waiting), together="several" in VERBS)
    while sys.stdin.readline().strip():
        before = load.pairs
        with Usage(client) as usage:
            run_for(wires, float(seconds), [load])
        print(1e6 * usage.cpu / (load.pairs - before), flush=True)
"""


def run(
    process: EmbeddedServer, *, slices: int = 7, seconds: float = 0.7, waiting: int = 1000
) -> list[Figure]:
    """The server's time for a pair before the cuts against now, with waiters and without."""
    rows = []
    with unpacked(BEFORE, "loco_redis") as before:
        if before is None:
            return []
        for kind, many in ((SCARCE, waiting), (IDLE, 0)):
            with server.connected(process):
                was, now = _measured(process.url, before, slices, seconds, many)
            ratios = [old / new for old, new in zip(was, now, strict=True)]
            rows.append(
                Figure(
                    f"acquire + release {kind}, before the cuts ({BEFORE}) / now",
                    median(ratios),
                    "x",
                    None,
                    f"{median(was):.0f} us ({spread(was)}) / {median(now):.0f} us ({spread(now)})",
                )
            )
    return rows


def _measured(
    url: str, before: Path, slices: int, seconds: float, waiting: int
) -> tuple[list[float], list[float]]:
    workers = [
        Worker([root, ROOT], _WORKER, url, name, seconds, waiting)
        for root, name in ((before, "before"), (ROOT, "now"))
    ]
    try:
        times = [[worker.measure() for worker in workers] for _ in range(slices + 1)]
    finally:
        for worker in workers:
            worker.end()
    was, now = (list(column) for column in zip(*times[1:], strict=True))  # the first warms up
    return was, now
