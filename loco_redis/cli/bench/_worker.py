"""One worker process of a benchmark: so many callers, who ask for slots when requests are due."""

from __future__ import annotations

import asyncio
import resource as usage
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loco_redis import AsyncLOCOScheduler, LocoRedisError, SharedResource
from loco_redis._endpoint import resolve
from loco_redis.cli.bench._arrivals import Agents, Arrival, Step, drawn, traced
from loco_redis.cli.bench._figures import BenchPlan
from loco_redis.cli.bench._journal import Journal
from loco_redis.cli.bench._meeting import BEAT, Meeting
from loco_redis.cli.play._inside import Parent, run
from loco_redis.errors import AcquireTimeoutError

#: Seconds to try for when Redis does not answer, then again until the run is over.
_BACKEND_TIMEOUT = 5.0
_PAUSE = 0.1  # seconds after an error


def drain(plan: BenchPlan) -> float:
    """Seconds that requests may still be served in after the end of the measured time."""
    return min(30.0, max(2.0, 10 * plan.hold))


class Callers:
    """The callers of one worker, from the start of a run until their last body has ended."""

    def __init__(
        self,
        scheduler: AsyncLOCOScheduler,
        journal: Journal,
        plan: BenchPlan,
        arrivals: Iterator[Arrival],
        start: float,
    ) -> None:
        self._scheduler, self._journal, self._plan = scheduler, journal, plan
        self._start = start
        self._end = start + plan.warmup + plan.duration
        self._until = self._end + drain(plan)
        self._agents = Agents.of(plan).names
        self._arrivals = arrivals
        self._cpu_before = self._cpu_after = 0.0
        self.grants = self.holding = self.waiting = 0
        self.errors: Counter[str] = Counter()

    async def call(self) -> None:
        """Serve all requests that are due until the end."""
        loop = asyncio.get_running_loop()
        ahead = loop.time() - time.monotonic()
        measured = self._start + self._plan.warmup
        for moment, note in ((measured, self._note_before), (self._end, self._note_after)):
            loop.call_at(max(moment + ahead, loop.time()), note)
        async with asyncio.TaskGroup() as callers:
            for _ in range(self._plan.tasks):
                callers.create_task(self._serve_all())
        await asyncio.sleep(max(0.0, self._end - time.monotonic()))

    @property
    def cpu(self) -> float:
        """Seconds of processor time used in the measured time, until now."""
        if not self._cpu_before:
            return 0.0
        return (self._cpu_after or _cpu()) - self._cpu_before

    def _note_before(self) -> None:
        self._cpu_before = _cpu()

    def _note_after(self) -> None:
        self._cpu_after = _cpu()

    async def _serve_all(self) -> None:
        for arrival in self._arrivals:
            at = time.monotonic() if arrival.at is None else self._start + arrival.at
            if at >= self._end:
                return
            await asyncio.sleep(at - time.monotonic())
            await self._serve(arrival, at)

    async def _serve(self, arrival: Arrival, due: float) -> None:
        """One request; errors are counted, and it asks again, until the run is over."""
        begun = False
        while not begun and (left := self._until - time.monotonic()) > 0:
            self.waiting += 1
            try:
                async with self._scheduler.acquire(
                    self._agents[arrival.agent], weight=arrival.weight, timeout=left
                ) as lease:
                    begun = True
                    await self._hold(arrival, due, lease.slot, lease.token)
            except AcquireTimeoutError:
                break
            except (LocoRedisError, ConnectionError) as error:
                self.errors[type(error).__name__] += 1
                await asyncio.sleep(_PAUSE)
            finally:
                self.waiting -= not begun
        if not begun:
            now = time.monotonic_ns()
            self._journal.missed(arrival.kind, arrival.agent, round(due * 1e9), now)

    async def _hold(self, arrival: Arrival, due: float, slot: int, token: int) -> None:
        self.waiting -= 1
        self.holding += 1
        self.grants += 1
        start = time.monotonic_ns()
        self._journal.began(arrival.kind, arrival.agent, slot, token, round(due * 1e9), start)
        try:
            await asyncio.sleep(arrival.hold)
        finally:
            self._journal.ended(token, time.monotonic_ns())
            self.holding -= 1

    async def tell(self, parent: Parent) -> None:
        """Say how far it has come, again and again."""
        while True:
            self.say(parent, "progress")
            await asyncio.sleep(BEAT)

    def say(self, parent: Parent, event: str) -> None:
        parent.say(
            event,
            grants=self.grants,
            holding=self.holding,
            waiting=self.waiting,
            cpu=self.cpu,
            errors=self.errors,
        )


def _cpu() -> float:
    used = usage.getrusage(usage.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _arrivals(plan: BenchPlan, told: dict[str, Any]) -> Iterator[Arrival]:
    place = {"run": told["run"], "place": told["place"], "places": told["places"]}
    if plan.profile != "trace":
        return drawn(plan, **place)
    with resolve(None).sync_client() as client:
        steps = Meeting(client, plan.id).trace() or []
    return traced(plan, [Step(*step) for step in steps], **place)


def _from(arrivals: Iterator[Arrival], now: float) -> Iterator[Arrival]:
    """A worker that is started in the middle of a run leaves out what was due before."""
    return (a for a in arrivals if a.at is None or a.at >= now)


async def work(parent: Parent) -> None:
    """Told the plan and its place in the run, then the moment of the start."""
    told = await parent.told()
    plan = BenchPlan(**told["plan"])
    arrivals = _arrivals(plan, told)
    journal = Journal(Path(told["journal"]))
    # `strict`: a body whose lease may have ended is cancelled before anybody else can have the
    # slot, so the oracle may ask that bodies never overlap, also on a host that is cut off.
    async with AsyncLOCOScheduler(
        [], SharedResource(told["resource"]), strict=True, backend_timeout=_BACKEND_TIMEOUT
    ) as scheduler:
        parent.say("ready")
        start = (await parent.told())["start"]
        if (late := time.monotonic() - start) > 0:
            arrivals = _from(arrivals, late)
        callers = Callers(scheduler, journal, plan, arrivals, start)
        telling = asyncio.create_task(callers.tell(parent), name="tell")
        try:
            await callers.call()
        finally:
            telling.cancel()
        callers.say(parent, "done")
    journal.close()


if __name__ == "__main__":
    run(work)
