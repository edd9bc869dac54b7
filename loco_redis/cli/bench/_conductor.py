"""The conductor of a benchmark (`bench run`): gathers the hosts, says when each run starts, looks
at the server meanwhile, and collects what they hand in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import TypeVar

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis._connect import CONNECTION_ERRORS
from loco_redis._endpoint import Endpoint
from loco_redis._keys import REGISTRY, Keys
from loco_redis.cli.bench import _server_stats as server_stats
from loco_redis.cli.bench._figures import BenchPlan, RunFigures, Summary
from loco_redis.cli.bench._measure import Measured, figures
from loco_redis.cli.bench._meeting import BEAT, Beat, Meeting, Word
from loco_redis.cli.bench._progress import HostStanding, Progress, Standing
from loco_redis.cli.bench._result import HostResult
from loco_redis.cli.bench._server_stats import Look
from loco_redis.cli.bench._worker import drain
from loco_redis.cli.play._workers import WorkerFailedError
from loco_redis.errors import BackendUnavailableError, LocoRedisError

T = TypeVar("T")

#: Seconds between the word that a run starts and its start: every host looks several times.
_AHEAD = 2.0
#: Seconds after which a host that is not heard of is mentioned; and given up, after the end.
_SILENT, _GIVEN_UP = 3.0, 60.0
#: Beats that the hosts have to hear that it is over, and to leave.
_LEAVING = 6
#: Seconds for which the conductor does without Redis.
_OUTAGE = 20.0


class HostFailedError(WorkerFailedError):
    """A host cannot go on, or did not come; the message says which and why."""


class Conductor:
    """Conducts one benchmark; `conduct` returns the figures of its runs."""

    def __init__(self, endpoint: Endpoint, plan: BenchPlan, screen: Progress) -> None:
        self._endpoint, self._plan, self._screen = endpoint, plan, screen
        self._client = endpoint.sync_client()
        self._meeting = Meeting(self._client, plan.id)
        self._beats: dict[str, Beat] = {}
        self._heard: dict[str, float] = {}  # when a host's beat last had another number
        self._silences: dict[str, float] = {}
        self._notes: dict[str, int] = {}
        self._phase, self._run, self._start = "gathering", 0, 0.0
        self._rates: dict[str, tuple[float, int, float]] = {}
        self.failures: list[str] = []

    async def conduct(self, patience: float) -> list[RunFigures]:
        """Gather, run, collect.

        Args:
            patience: seconds to wait until all hosts have come.

        Raises:
            HostFailedError: they did not come, or one of them failed.
            BackendError: Redis is out of reach.
        """
        reason = "the conductor was interrupted"
        try:
            hosts = await self._gathered(patience)
            found = [await self._one(run, hosts) for run in range(1, self._plan.runs + 1)]
            reason = ""
            return found
        except (HostFailedError, LocoRedisError) as error:
            reason = str(error)
            raise
        finally:
            await asyncio.shield(self._dismissed(reason))
            self._client.close()

    async def _gathered(self, patience: float) -> tuple[str, ...]:
        until = time.monotonic() + patience
        while len(await self._look()) < self._plan.hosts:
            if time.monotonic() > until:
                came = ", ".join(self._beats) or "none"
                raise HostFailedError(
                    f"{len(self._beats)} of {self._plan.hosts} hosts came within {patience:g} s "
                    f"({came}): run `loco-redis bench worker --run {self._plan.id}` on each"
                )
            await asyncio.sleep(BEAT)
        return tuple(sorted(list(self._beats)[: self._plan.hosts]))

    async def _one(self, run: int, hosts: tuple[str, ...]) -> RunFigures:
        self._phase, self._run, self._silences = "getting ready", run, {}
        name = f"bench-{self._plan.id}-{run}"
        resource = SharedResource(name, capacity=self._plan.capacity)
        try:
            async with AsyncLOCOScheduler(
                [],
                resource,
                redis=self._endpoint.url,
                alpha=self._plan.alpha,
                lease_ttl=self._plan.lease,
            ) as scheduler:
                await self._ask(lambda: self._meeting.say(Word(run, name, hosts)))
                await self._until(hosts, run, {"ready"}, _GIVEN_UP + time.monotonic())
                looks, start = await self._watched(run, name, hosts)
                results = await self._collected(run, hosts)
                counts = await scheduler.snapshot()
        finally:
            await self._ask(lambda: self._removed(name))
        measured = Measured(
            run, start, looks, dict(self._silences), counts.peak, counts.reclaimed, results
        )
        return await asyncio.to_thread(figures, self._plan, measured)

    async def _watched(
        self, run: int, name: str, hosts: tuple[str, ...]
    ) -> tuple[tuple[Look, Look], float]:
        """Say when it starts, and be there at the start and the end of the measured time."""
        seconds, micros = await self._ask(self._meeting.time)
        start, self._start = seconds + micros / 1e6 + _AHEAD, time.monotonic() + _AHEAD
        self._phase = "warming up"
        await self._ask(lambda: self._meeting.say(Word(run, name, hosts, start)))
        await self._wait_until(self._start + self._plan.warmup)
        before = await self._server(name)
        self._phase = "measuring"
        end = self._start + self._plan.warmup + self._plan.duration
        await self._wait_until(end)
        after = await self._server(name)
        self._phase = "draining"
        await self._until(hosts, run, {"done"}, end + drain(self._plan) + _GIVEN_UP, missing=True)
        return (before, after), start

    async def _collected(self, run: int, hosts: Sequence[str]) -> list[HostResult]:
        results = []
        for host in hosts:
            packed = await self._ask(lambda host=host: self._meeting.result(run, host))  # type: ignore[misc]
            if packed is None:
                self.failures.append(f"{host} has not handed in what it did in run {run}")
            else:
                results.append(await asyncio.to_thread(HostResult.unpacked, packed))
        if not results:
            raise HostFailedError(f"no host has handed in anything after run {run}")
        return results

    async def _wait_until(self, moment: float) -> None:
        while (left := moment - time.monotonic()) > 0:
            await self._look()
            await asyncio.sleep(min(BEAT, left))

    async def _until(
        self, hosts: Sequence[str], run: int, phases: set[str], limit: float, missing: bool = False
    ) -> None:
        """Until all hosts are in one of the phases; who is not in time fails, or may be missing."""
        while True:
            beats = await self._look()
            late = [h for h in hosts if not (beats[h].run == run and beats[h].phase in phases)]
            if not late:
                return
            if time.monotonic() > limit:
                if missing:
                    return
                raise HostFailedError(f"{', '.join(late)} did not get ready within {_GIVEN_UP:g} s")
            await asyncio.sleep(BEAT)

    async def _look(self) -> dict[str, Beat]:
        """At the hosts; and show how they are."""
        beats, now = await self._ask(self._meeting.look), time.monotonic()
        for name, beat in beats.items():
            if beat.phase == "failed":
                raise HostFailedError(f"{name}: {beat.problem}")
            if name not in self._beats or beat.number != self._beats[name].number:
                self._hear(name, now)
            for note in beat.notes[self._notes.get(name, 0) :]:
                self._screen.note(f"{name}: {note}")
            self._notes[name] = len(beat.notes)
        for name in self._heard:
            silence = now - self._heard[name]
            if silence > _SILENT > self._silences.get(name, 0.0):
                self._screen.note(f"{name}: not heard of for {silence:.0f} s")
            self._silences[name] = max(silence, self._silences.get(name, 0.0))
        # A host that has left goes on being shown as it was.
        self._beats = {**self._beats, **beats}
        self._screen.show(self._standing(now))
        return self._beats

    def _hear(self, name: str, now: float) -> None:
        silence = now - self._heard.get(name, now)
        if silence > _SILENT:
            self._screen.note(f"{name}: heard of again after {silence:.0f} s")
        self._silences[name] = max(silence, self._silences.get(name, 0.0))
        self._heard[name] = now

    def _standing(self, now: float) -> Standing:
        hosts = tuple(
            HostStanding(
                name, beat.phase, beat.grants, self._rate(beat, now), now - self._heard[name]
            )
            for name, beat in self._beats.items()
        )
        return Standing(
            phase=self._phase,
            run=self._run,
            runs=self._plan.runs,
            elapsed=max(0.0, now - self._start) if self._start else 0.0,
            total=self._plan.warmup + self._plan.duration,
            hosts=hosts,
            grants_per_second=sum(host.rate for host in hosts),
            # Beats are of slightly different moments: a slot may be on its way from host to host.
            holding=min(self._plan.capacity, sum(beat.holding for beat in self._beats.values())),
            waiting=sum(beat.waiting for beat in self._beats.values()),
            capacity=self._plan.capacity,
        )

    def _rate(self, beat: Beat, now: float) -> float:
        """Grants a second of a host, over the last second or so."""
        at, grants, rate = self._rates.get(beat.name, (now, beat.grants, 0.0))
        if now - at >= 2 * BEAT or beat.grants < grants:
            rate = max(0.0, (beat.grants - grants) / max(now - at, BEAT))
            at, grants = now, beat.grants
        self._rates[beat.name] = (at, grants, rate)
        return rate

    async def _server(self, name: str) -> Look:
        key = Keys(name).vars
        return await self._ask(lambda: server_stats.look(self._client, key))

    def _removed(self, name: str) -> None:
        self._client.delete(*Keys(name).all)
        self._client.srem(REGISTRY, name)

    async def _dismissed(self, reason: str) -> None:
        """Tell the hosts that it is over, and leave nothing behind."""
        try:
            await self._ask(lambda: self._meeting.say(Word(over=True, reason=reason)))
            for _ in range(_LEAVING):
                if not await self._ask(self._meeting.look):
                    break
                await asyncio.sleep(BEAT)
            await self._ask(self._meeting.end)
        except BackendUnavailableError:
            pass  # its keys end by themselves

    async def _ask(self, question: Callable[[], T]) -> T:
        """All questions may be asked again: a short outage of Redis does not end a benchmark."""
        until = time.monotonic() + _OUTAGE
        while True:
            try:
                return await asyncio.to_thread(question)
            except CONNECTION_ERRORS as error:
                if time.monotonic() > until:
                    raise BackendUnavailableError(self._endpoint.redacted, str(error)) from error
            await asyncio.sleep(BEAT)


#: What the summary over the runs shows: name, unit, and where it comes from.
_SUMMARY: tuple[tuple[str, str, Callable[[RunFigures], float]], ...] = (
    ("grants", "1/s", lambda run: run.grants_per_second),
    ("arrivals", "1/s", lambda run: run.arrivals_per_second),
    ("utilisation", "share", lambda run: run.utilization),
    ("wait p50", "s", lambda run: run.wait.p50),
    ("wait p99", "s", lambda run: run.wait.p99),
    ("hand-off p50", "s", lambda run: run.handoff.p50),
    ("hand-off p95", "s", lambda run: run.handoff.p95),
    ("hand-off p99", "s", lambda run: run.handoff.p99),
    ("fairness", "Jain", lambda run: run.jain),
    ("script time", "us/grant", lambda run: run.server.script_usec_per_grant),
    ("messages", "1/grant", lambda run: run.server.scripts_per_grant + run.server.hints_per_grant),
    (
        "bytes",
        "B/grant",
        lambda run: run.server.bytes_in_per_grant + run.server.bytes_out_per_grant,
    ),
    ("server CPU", "cores", lambda run: run.server.cpu),
    ("workers' CPU", "cores", lambda run: run.workers_cpu),
)


def summary(runs: Sequence[RunFigures]) -> tuple[Summary, ...]:
    """Least, median and most of each figure over the runs."""
    rows = []
    for name, unit, of in _SUMMARY:
        values = [of(run) for run in runs]
        rows.append(Summary(name, unit, min(values), median(values), max(values)))
    return tuple(rows)
