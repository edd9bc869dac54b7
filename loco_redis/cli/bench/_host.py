"""One host of a benchmark (`bench worker`): joins the run, has its crew work when the conductor
says so, and hands in what they did."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from loco_redis._connect import CONNECTION_ERRORS
from loco_redis._endpoint import Endpoint
from loco_redis.cli.bench._clock import Clock, nearest
from loco_redis.cli.bench._crew import Crew
from loco_redis.cli.bench._figures import BenchPlan
from loco_redis.cli.bench._meeting import BEAT, Beat, Meeting, Word
from loco_redis.cli.play._workers import WorkerFailedError

T = TypeVar("T")

#: Samples of the clock before the first run.
_SAMPLES = 10


class RunGoneError(RuntimeError):
    """This host cannot take part in the run, or not any more; the message says why."""


class Host:
    """Takes part in one benchmark from `serve` on."""

    def __init__(
        self, endpoint: Endpoint, run_id: str, name: str, show: Callable[[str], None]
    ) -> None:
        self._url, self._run_id = endpoint.url, run_id
        self._client = endpoint.sync_client()
        self._meeting = Meeting(self._client, run_id)
        self._show = show
        self._clock = Clock()
        self._beat = Beat(name, version=version("loco-redis"))
        self._word = Word()
        self._heard = asyncio.Condition()
        self._gone = ""

    async def serve(self, patience: float) -> None:
        """Until the benchmark is over.

        Args:
            patience: seconds to wait for a run of this name.

        Raises:
            RunGoneError: there is none, it was broken off, it has all its hosts, or the name of
                this host is taken.
            WorkerFailedError: a worker ended that should not have.
        """
        plan = await self._joined(patience)
        beating = asyncio.create_task(self._keep_beating(), name="beat")
        try:
            for run in range(1, plan.runs + 1):
                await self._take_part(plan, run)
            await self._until(lambda word: word.over)
        except WorkerFailedError as error:
            self._beat = replace(self._beat, phase="failed", problem=str(error))
            await self._beat_once()
            raise
        finally:
            beating.cancel()
            await asyncio.wait((beating,))
            await self._leave()

    async def _joined(self, patience: float) -> BenchPlan:
        until = time.monotonic() + patience
        while (plan := await self._ask(self._meeting.plan)) is None:
            if time.monotonic() > until:
                raise RunGoneError(
                    f"no run {self._run_id!r} here after {patience:g} s: start it with "
                    f"`loco-redis bench run --join N --run {self._run_id}` on the same Redis"
                )
            await asyncio.sleep(BEAT)
        if plan.version != self._beat.version:
            raise RunGoneError(
                f"the run is of loco-redis {plan.version}, this is {self._beat.version}: "
                "install the same on all hosts"
            )
        if not await self._ask(lambda: self._meeting.join(self._beat)):
            raise RunGoneError(f"a host named {self._beat.name!r} has joined already: give --as")
        for _ in range(_SAMPLES):
            await self._ask(lambda: self._clock.sample(self._meeting.time))
        self._show(f"{self._beat.name} has joined run {self._run_id}")
        return plan

    async def _take_part(self, plan: BenchPlan, run: int) -> None:
        word = await self._until(lambda word: word.run == run)
        if self._beat.name not in word.hosts:
            raise RunGoneError(f"run {self._run_id} has its {len(word.hosts)} hosts already")
        with tempfile.TemporaryDirectory(prefix="loco-bench-") as folder:
            crew = Crew(self._url, plan, word, self._beat.name, Path(folder))
            async with crew.working():
                self._now("ready", run)
                word = await self._until(lambda word: word.run == run and word.start is not None)
                assert word.start is not None
                start = word.start - nearest(self._clock.readings, time.monotonic()).offset
                self._now("running", run)
                self._show(f"run {run}: {plan.workers} workers")
                await crew.run(start, self._report)
            result = crew.result(self._beat.name, start, tuple(self._clock.readings))
        packed = await asyncio.to_thread(result.packed)
        while True:
            try:
                await self._ask(lambda: self._meeting.hand_in(run, self._beat.name, packed))
                break
            except CONNECTION_ERRORS:
                await self._until(lambda _: True)  # raises once the run is gone
                await asyncio.sleep(BEAT)
        self._now("done", run)

    def _now(self, phase: str, run: int) -> None:
        self._beat = replace(self._beat, phase=phase, run=run, notes=())

    def _report(self, crew: Crew) -> None:
        self._beat = replace(
            self._beat,
            grants=crew.total("grants"),
            holding=crew.total("holding"),
            waiting=crew.total("waiting"),
            notes=tuple(crew.notes),
        )

    async def _keep_beating(self) -> None:
        """Also while Redis is out of reach: it goes on when it is there again."""
        while not self._gone:
            await self._beat_once()
            await asyncio.sleep(BEAT)

    async def _beat_once(self) -> None:
        self._beat = replace(self._beat, number=self._beat.number + 1)
        try:
            word = await self._ask(lambda: self._meeting.beat(self._beat))
            await self._ask(lambda: self._clock.sample(self._meeting.time))
        except CONNECTION_ERRORS:
            return
        if word is None:
            self._gone = f"run {self._run_id} is gone: whoever conducted it has ended it"
        elif word.over and word.reason:
            self._gone = f"run {self._run_id} was broken off: {word.reason}"
        async with self._heard:
            self._word = word or self._word
            self._heard.notify_all()

    async def _until(self, wanted: Callable[[Word], bool]) -> Word:
        """The conductor's word, once it is the wanted one."""
        async with self._heard:
            await self._heard.wait_for(lambda: self._gone or wanted(self._word))
        if self._gone:
            raise RunGoneError(self._gone)
        return self._word

    async def _leave(self) -> None:
        try:
            if not self._gone:
                await self._ask(lambda: self._meeting.leave(self._beat.name))
        except CONNECTION_ERRORS:
            pass  # its keys end by themselves
        finally:
            self._client.close()

    async def _ask(self, question: Callable[[], T]) -> T:
        """In a thread: the client of the meeting blocks, and a cancellation must not reach it."""
        return await asyncio.to_thread(question)
