"""What have the cuts brought? The load of `limit.py` with the scripts of an earlier revision, and
with a release and an acquire in one script, as a busy process sends them now.

Two processes take turns on one server, one with the code of the revision before the cuts (from this
repository's history; without it there is no row), one with this code.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks import server
from benchmarks.figure import Figure, spread
from benchmarks.scale.limit import IDLE, SCARCE
from loco_redis._server import EmbeddedServer

ROOT = Path(__file__).parents[2]
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


class _Worker:
    """A process that measures the scripts of `root`, with the load of this revision."""

    def __init__(self, root: Path, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _WORKER, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{ROOT}"},
        )

    def measure(self) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def end(self) -> None:
        self.process.communicate("\n", timeout=30)


def run(
    process: EmbeddedServer, *, slices: int = 7, seconds: float = 0.7, waiting: int = 1000
) -> list[Figure]:
    """The server's time for a pair before the cuts against now, with waiters and without."""
    rows = []
    with ExitStack() as stack:
        before = _before(stack)
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


def _before(stack: ExitStack) -> Path | None:
    """A folder with the package before the cuts; None where there is no history."""
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", BEFORE, "loco_redis"], capture_output=True, check=False
    )
    if archive.returncode:
        return None
    folder = stack.enter_context(TemporaryDirectory(prefix="loco-redis-before-"))
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    return Path(folder)


def _measured(
    url: str, before: Path, slices: int, seconds: float, waiting: int
) -> tuple[list[float], list[float]]:
    workers = [
        _Worker(root, url, name, seconds, waiting)
        for root, name in ((before, "before"), (ROOT, "now"))
    ]
    try:
        times = [[worker.measure() for worker in workers] for _ in range(slices + 1)]
    finally:
        for worker in workers:
            worker.end()
    was, now = (list(column) for column in zip(*times[1:], strict=True))  # the first warms up
    return was, now
