"""The worker processes of one host in one run: started, killed if that was asked for, and ended."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loco_redis.cli.bench import _journal as journal
from loco_redis.cli.bench._clock import Reading, domain
from loco_redis.cli.bench._figures import BenchPlan
from loco_redis.cli.bench._meeting import BEAT, Word
from loco_redis.cli.bench._result import HostResult, Tally
from loco_redis.cli.bench._worker import drain
from loco_redis.cli.play._workers import Message, Worker, WorkerFailedError, end_all

_WORKER = "loco_redis.cli.bench._worker"
#: Seconds that workers may take to end after everything has been served.
_LATE = 30.0


class Crew:
    """The worker processes of one host in one run.

    Attributes:
        notes: what happened to them, for people.
    """

    def __init__(self, url: str, plan: BenchPlan, word: Word, name: str, folder: Path) -> None:
        self._url, self._plan, self._word, self._folder = url, plan, word, folder
        self._me = word.hosts.index(name)
        self._workers: dict[int, Worker] = {}  # by place in the host
        self._paths: dict[Worker, Path] = {}
        self._hearing: set[asyncio.Task[None]] = set()
        self._last: dict[Worker, Message] = {}
        self._ended: dict[Worker, int] = {}
        self.notes: list[str] = []

    def total(self, name: str) -> int:
        """Of all workers: what they have said last; one that was killed has and wants nothing."""
        counts = (m[name] for w, m in self._last.items() if name == "grants" or not w.killed)
        return sum(counts)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """All workers are ready inside, and none is left after it."""
        try:
            for place in range(self._plan.workers):
                await self._start(place)
            await self._all_of(w.ready.wait() for w in self._workers.values())
            yield
        finally:
            await end_all(list(self._paths))
            await asyncio.gather(*self._hearing, return_exceptions=True)

    async def run(self, start: float, report: Callable[[Crew], None]) -> None:
        """From `start`, of this host's monotonic clock, until all have ended."""
        for worker in self._workers.values():
            await worker.tell({"start": start})
        chores = [asyncio.create_task(self._report(report), name="report")]
        if self._plan.kill_every is not None:
            chores.append(asyncio.create_task(self._kill(start), name="kill"))
        end = start + self._plan.warmup + self._plan.duration
        try:
            async with asyncio.timeout_at(
                asyncio.get_running_loop().time()
                + (end + drain(self._plan) + _LATE - time.monotonic())
            ):
                # Killing replaces workers until the end; after that all are to end by themselves.
                await self._all_of([asyncio.sleep(end - time.monotonic())])
                await self._all_of(w.silent.wait() for w in self._workers.values())
        except TimeoutError:
            late = [w.name for w in self._workers.values() if not w.silent.is_set()]
            raise WorkerFailedError(f"{', '.join(late)} did not end in time") from None
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.wait(chores)
        for chore in chores:
            if not chore.cancelled():
                chore.result()
        report(self)

    def result(self, name: str, start: float, readings: tuple[Reading, ...]) -> HostResult:
        """After the end: what they wrote down."""
        tally = Tally(self._plan, round(start * 1e9))
        errors: Counter[str] = Counter()
        for worker, path in self._paths.items():
            tally.add(journal.read(path), self._ended[worker], killed=worker.killed)
            errors.update(self._last.get(worker, {}).get("errors", {}))
        return HostResult(
            name=name,
            workers=self._plan.workers,
            domain=domain(),
            start=start,
            cpu=sum(message["cpu"] for message in self._last.values()),
            errors=dict(errors),
            kills=tuple(self._ended[worker] for worker in self._paths if worker.killed),
            readings=readings,
            classes=tally.classes(),
            agents=tally.agents(),
            arrivals=tally.arrivals(),
            holds=tally.holds(),
        )

    async def _start(self, place: int) -> Worker:
        worker = await Worker.start(len(self._paths) + 1, _WORKER, self._url)
        self._workers[place] = worker
        self._paths[worker] = self._folder / f"{worker.number}.journal"
        self._hearing.add(asyncio.create_task(self._hear(worker), name=f"{worker.name}.stdout"))
        await worker.tell(
            {
                "plan": asdict(self._plan),
                "run": self._word.run,
                "resource": self._word.resource,
                "place": self._me * self._plan.workers + place,
                "places": len(self._word.hosts) * self._plan.workers,
                "journal": os.fspath(self._paths[worker]),
            }
        )
        return worker

    async def _hear(self, worker: Worker) -> None:
        try:
            async for message in worker.heard():
                if message["event"] == "ready":
                    worker.ready.set()
                else:
                    self._last[worker] = message
        finally:
            self._ended[worker] = time.monotonic_ns()
            worker.silent.set()

    async def _all_of(self, awaited: Iterable[Coroutine[Any, Any, Any]]) -> None:
        """Wait for all; or raise what ends a worker before."""
        waiting = asyncio.gather(*awaited)
        try:
            while not waiting.done():
                running: set[asyncio.Future[Any]] = {waiting, *self._hearing}
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in self._hearing if task.done()]:
                    self._hearing.discard(task)
                    task.result()
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    async def _report(self, report: Callable[[Crew], None]) -> None:
        while True:
            report(self)
            await asyncio.sleep(BEAT)

    async def _kill(self, start: float) -> None:
        """The fleet kills a worker every so often: the hosts in turn, each its workers in turn."""
        assert self._plan.kill_every is not None
        hosts = len(self._word.hosts)
        end = start + self._plan.warmup + self._plan.duration
        for number in itertools.count(1):
            at = start + self._plan.warmup + number * self._plan.kill_every
            if at >= end - self._plan.kill_every / 2:
                return
            if number % hosts != self._me:
                continue
            await asyncio.sleep(at - time.monotonic())
            place = number // hosts % self._plan.workers
            worker = self._workers[place]
            worker.kill()
            if not worker.killed:
                return  # late: it has ended by itself
            self.notes.append(f"killed {worker.name} (pid {worker.pid})")
            other = await self._start(place)
            await other.ready.wait()
            await other.tell({"start": start})
