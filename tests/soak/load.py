"""`python -m tests.soak.load`: a thousand acquires at once from each of eight processes.

Nothing is lost, nothing is given twice, and neither server nor clients grow.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis._scripts import Scripts
from loco_redis.testing import invariants
from loco_redis.testing.dump import parse
from tests.servers import BINARIES, DEFAULT
from tests.soak.__main__ import show
from tests.soak.checker import dump
from tests.soak.load_worker import NAME
from tests.soak.meter import Meter
from tests.soak.oracle import percentile
from tests.soak.processes import Talking
from tests.soak.report import Report
from tests.soak.server import SoakServer
from tests.waiting import eventually

CAPACITY = 16
# From the first third of the run to the last: 5 % and 2 MB.
GROWTH, SLACK = 1.05, 2e6
_END_WITHIN = 120.0


@dataclass
class Seen:
    """What the processes told, and how large they were from second to second."""

    ended: list[dict[str, Any]] = field(default_factory=list)
    opened: int = 0
    grants: int = 0
    twice: int = 0
    sizes: dict[str, list[int]] = field(default_factory=dict)  # name -> bytes
    violations: list[str] = field(default_factory=list)
    _tokens: set[int] = field(default_factory=set)
    _before: set[int] = field(default_factory=set)

    def hear(self, facts: dict[str, Any]) -> None:
        if facts["event"] == "open":
            self.opened += 1
        elif facts["event"] == "ended":
            self.ended.append(facts)
        elif facts["event"] == "given":
            tokens = facts["tokens"]
            self.grants += len(tokens)
            new = set(tokens)
            self.twice += len(tokens) - len(new - self._tokens - self._before)
            self._tokens |= new

    def turn(self) -> None:
        """Tokens of long ago are not remembered: a copy of one would have come by now."""
        self._before, self._tokens = self._tokens, set()

    def size(self, name: str, number: int) -> None:
        self.sizes.setdefault(name, []).append(number)


class Load:
    """One run."""

    def __init__(self, seconds: float, processes: int, callers: int, server: str) -> None:
        self._seconds, self._processes, self._callers = seconds, processes, callers
        self._server = SoakServer(server, durable=False)
        self._seen = Seen()
        self._workers: list[Talking] = []

    async def run(self) -> Report:
        async with AsyncExitStack() as stack:
            stack.callback(self._server.close)
            await asyncio.to_thread(self._server.start)
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="load-")))
            log = stack.enter_context((home / "log").open("w+b"))
            resource = SharedResource(NAME, CAPACITY)
            first = await stack.enter_async_context(
                AsyncLOCOScheduler([], resource, redis=self._server.url, lease_ttl=10.0)
            )
            keys = self._keys()
            for _ in range(self._processes):
                worker = await Talking.start(
                    "tests.soak.load_worker",
                    *(self._server.url, str(self._callers)),
                    hear=self._seen.hear,
                    log=log,
                )
                stack.push_async_callback(worker.kill)
                self._workers.append(worker)
            await eventually(lambda: self._seen.opened == self._processes, timeout=60)
            began = time.monotonic()
            await self._sample(began)
            await self._end()
            took = time.monotonic() - began
            self._balance(await first.snapshot(), keys)
            log.seek(0)
            if b"Traceback" in (said := log.read()):
                self._seen.violations.append(said.decode()[-2000:])
        return self._report(took)

    async def _sample(self, began: float) -> None:
        """Look at all sizes each second."""
        meter, seen = Meter(self._server), self._seen
        step = min(1.0, self._seconds / 20)
        while (now := time.monotonic()) < began + self._seconds:
            seen.size("server used", meter.memory()[0])
            seen.size("server", meter.memory()[1])
            for number, worker in enumerate(self._workers):
                seen.size(f"process {number}", worker.rss)
                worker.tell("look")
            if len(seen.sizes["server"]) % 30 == 0:
                seen.turn()
            await asyncio.sleep(max(0.0, now + step - time.monotonic()))

    async def _end(self) -> None:
        for worker in self._workers:
            worker.tell("end")
        await asyncio.wait([worker.ended for worker in self._workers], timeout=_END_WITHIN)
        ended = [worker.ended.result() if worker.ended.done() else None for worker in self._workers]
        if ended != [0] * self._processes:
            self._seen.violations.append(f"processes ended by {ended}")

    def _balance(self, last: Any, keys: set[str]) -> None:
        """Each acquire has ended, each grant was a body, and nothing is left."""
        seen = self._seen
        asked = sum(told["asked"] for told in seen.ended)
        ended = sum(sum(told["ended"].values()) for told in seen.ended)
        late = sum(told["ended"].get("AcquireTimeoutError", 0) for told in seen.ended)
        if asked != ended:
            seen.violations.append(f"{asked} acquires, {ended} ends")
        if seen.twice:
            seen.violations.append(f"{seen.twice} tokens were given twice")
        if last.reclaimed or not seen.grants <= last.granted <= seen.grants + late:
            seen.violations.append(
                f"{last.granted} grants, {last.reclaimed} reclaimed, {seen.grants} bodies"
            )
        if last.released != seen.grants:
            seen.violations.append(f"{seen.grants} bodies, {last.released} releases")
        # Figures by agent are kept for ever, and so are histograms of waits.
        if left := self._keys() - keys - {"costs", "tallies"}:
            seen.violations.append(f"keys that were not there at first: {sorted(left)}")
        try:
            state = parse(dump(self._server.client, Scripts(NAME)))
            invariants.check_at_rest(state)
        except invariants.InvariantViolation as error:
            seen.violations.append(str(error))

    def _keys(self) -> set[str]:
        names = self._server.client.keys(f"loco:{{{NAME}}}:*")
        return {name.decode().rpartition(":")[2] for name in names}  # type: ignore[union-attr]

    def _report(self, took: float) -> Report:
        seen = self._seen
        waits = sorted(wait for told in seen.ended for wait in told["waits"])
        ends: dict[str, int] = {}
        for told in seen.ended:
            for name, number in told["ended"].items():
                ends[name] = ends.get(name, 0) + number
        memory = {}
        for name, sizes in seen.sizes.items():
            first, last = _thirds(sizes)
            memory[name] = f"{first / 1e6:.1f} -> {last / 1e6:.1f}"
            if last > first * GROWTH + SLACK:
                seen.violations.append(f"{name} grew from {first / 1e6:.1f} to {last / 1e6:.1f} MB")
        figures = {
            "ends of acquires": ends,
            "grants/s": seen.grants / took,
            "waits (s)": {"p50": percentile(waits, 50), "p99": percentile(waits, 99)},
            "tokens given twice": seen.twice,
            "memory, first and last third (MB)": memory,
        }
        title = (
            f"load: {took / 60:.1f} min, {self._processes} processes of {self._callers} callers, "
            f"capacity {CAPACITY}, {self._server.version}"
        )
        return Report(title, figures, seen.violations)


def _thirds(sizes: list[int]) -> tuple[float, float]:
    """Medians of the first and of the last third, without the first tenth: what starts, grows."""
    settled = sizes[len(sizes) // 10 :]
    third = max(1, len(settled) // 3)
    return percentile(sorted(settled[:third]), 50), percentile(sorted(settled[-third:]), 50)


@click.command()
@click.option("--minutes", type=float, default=5.0, show_default=True)
@click.option("--processes", type=click.IntRange(1), default=8, show_default=True)
@click.option("--callers", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--server", type=click.Choice(list(BINARIES)), default=DEFAULT, show_default=True)
@click.option("--json", "file", type=click.Path(path_type=Path), help="write the report there, too")
def main(minutes: float, processes: int, callers: int, server: str, file: Path | None) -> None:
    """Many acquires at once; exit code 1 if anything was lost or has grown."""
    load = Load(60 * minutes, processes, callers, server)
    sys.exit(show(asyncio.run(load.run()), file))


if __name__ == "__main__":
    main()
