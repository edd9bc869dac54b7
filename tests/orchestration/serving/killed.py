"""Tasks over worker processes that are killed at random: is each one completed or listed dead?

    python -m tests.orchestration.serving.killed --tasks 10000 --workers 3 --kill-every 0.5

It starts a server of its own and prints the figures of docs/backlog.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis.backoff import Backoff
from loco_redis.errors import TaskFailedError, UnknownTaskError
from tests.orchestration.serving import killed_worker
from tests.orchestration.serving.killed_oracle import Fate, Process, Verdict, judge, read
from tests.servers import DEFAULT, Fleet

ROOT = Path(__file__).parents[3]
MAX_ATTEMPTS = 5
_AGENTS = 20
_POISONED = 100  # one task of so many fails whenever it is tried
_AT_ONCE = 500
_LOOK = 0.05


@dataclass(frozen=True)
class Plan:
    tasks: int
    workers: int = 3
    kill_every: float = 0.5  # seconds, on average
    deaths: float = 0.0005  # of tasks, at each of two points in which a worker kills itself
    seconds: float = 120.0  # to give up after


class Workers:
    """Processes of `killed_worker`, each with a journal."""

    def __init__(self, url: str, folder: Path, deaths: float) -> None:
        self._url, self._folder, self._deaths = url, folder, deaths
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._killed: dict[int, float] = {}
        self._started = 0

    def start(self) -> None:
        number, self._started = self._started, self._started + 1
        command = [sys.executable, "-m", killed_worker.__name__, self._url, self._path(number)]
        with self._path(number, "log").open("wb") as log:
            self._running[number] = subprocess.Popen(
                [*command, str(self._deaths)],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                cwd=ROOT,
                stderr=log,
            )

    def kill_one(self, chance: random.Random) -> None:
        number = chance.choice([*self._running])
        self._killed[number] = time.monotonic()
        self._running[number].kill()
        self._running[number].wait()

    def replace(self) -> None:
        """Each that was killed by another one."""
        for number, process in [*self._running.items()]:
            if (code := process.poll()) is not None:
                assert code == -signal.SIGKILL, f"worker {number} ended: {self.told()}"
                del self._running[number]
                self.start()

    def stop(self) -> None:
        """By SIGTERM; each must end without error."""
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(30) for process in self._running.values()]
        # One that was just started may not handle it yet, and one may just have killed itself.
        fine = {0, -signal.SIGTERM, -signal.SIGKILL}
        assert set(codes) <= fine, f"exit codes {codes}: {self.told()}"

    def end(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()

    def processes(self) -> list[Process]:
        return [
            read(self._path(number), number, self._killed.get(number))
            for number in range(self._started)
        ]

    @property
    def working(self) -> bool:
        """Whether each of those that run has begun something."""
        return all(self._path(number).exists() for number in self._running)

    def told(self) -> str:
        """The last lines that they have written to stderr."""
        logs = (self._path(number, "log").read_text()[-500:] for number in range(self._started))
        return "\n".join(filter(None, logs))

    def _path(self, number: int, kind: str = "journal") -> Path:
        return self._folder / f"{number:04d}.{kind}"


async def run(url: str, folder: Path, plan: Plan, seed: int) -> tuple[Verdict, float]:
    """The verdict, and the seconds for which tasks were served."""
    chance = random.Random(seed)
    resource = SharedResource(killed_worker.NAME, plan.workers * killed_worker.CONCURRENCY)
    workers = Workers(url, folder, plan.deaths)
    try:
        async with AsyncLOCOScheduler(
            resource=resource, redis=url, lease_ttl=killed_worker.LEASE_TTL
        ) as scheduler:
            poisoned = await _submit(scheduler, plan.tasks)
            for _ in range(plan.workers):
                workers.start()
            took = await _serve(scheduler, workers, plan, chance)
            workers.stop()
            fates = await _fates(scheduler, [*poisoned])
    finally:
        workers.end()
    return judge(poisoned, MAX_ATTEMPTS, workers.processes(), fates), took


async def _submit(scheduler: AsyncLOCOScheduler, count: int) -> dict[str, bool]:
    """Task id -> whether it is poisoned."""

    async def submit(number: int) -> str:
        payload = b"%d %b" % (number, b"" if number % _POISONED else killed_worker.POISON)
        return await scheduler.submit_task(
            f"agent-{number % _AGENTS}",
            weight=1.0 + number % 3,
            payload=payload,
            max_attempts=MAX_ATTEMPTS,
            backoff=Backoff(0.05, 0.5),
            result_ttl=3600.0,
        )

    found: dict[str, bool] = {}
    for first in range(0, count, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, count))
        for number, task_id in zip(
            numbers, await asyncio.gather(*map(submit, numbers)), strict=True
        ):
            found[task_id] = number % _POISONED == 0
    return found


async def _serve(
    scheduler: AsyncLOCOScheduler, workers: Workers, plan: Plan, chance: random.Random
) -> float:
    began, limit, next_kill = None, time.monotonic() + plan.seconds, 0.0
    while True:
        now = await scheduler.snapshot(limit=0)
        moment = time.monotonic()
        if began is None and now.granted:
            began = moment
        if began is not None and now.durable_tasks == now.dead_tasks:
            return moment - began
        if moment > limit:
            left = now.durable_tasks - now.dead_tasks
            raise AssertionError(f"{left} tasks are left after {plan.seconds} s: {workers.told()}")
        workers.replace()
        # Who has not begun anything has nothing to lose.
        if workers.working and moment >= next_kill:
            workers.kill_one(chance)
            next_kill = moment + chance.uniform(0.5, 1.5) * plan.kill_every
        await asyncio.sleep(_LOOK)


async def _fates(scheduler: AsyncLOCOScheduler, tasks: list[str]) -> Mapping[str, Fate]:
    async def fate(number: int, task_id: str) -> Fate:
        try:
            value = await scheduler.result(task_id, timeout=10.0)
        except TaskFailedError:
            return "dead"
        except UnknownTaskError:
            return "lost"
        except TimeoutError:
            return "unfinished"
        return "done" if value == number else "lost"

    found: dict[str, Fate] = {}
    for first in range(0, len(tasks), _AT_ONCE):
        some = [*enumerate(tasks)][first : first + _AT_ONCE]
        fates = await asyncio.gather(*(fate(*one) for one in some))
        found |= {task_id: told for (_, task_id), told in zip(some, fates, strict=True)}
    return found


def figures(verdict: Verdict, took: float) -> str:
    v, delays = verdict, sorted(verdict.delays) or [0.0]
    return "\n".join(
        (
            f"tasks                       {v.tasks:,}",
            f"workers killed              {v.kills:,}",
            f"completed                   {v.fates['done']:,}",
            f"dead (they always fail)     {v.fates['dead']:,}",
            f"lost, unfinished            {v.fates['lost']:,}, {v.fates['unfinished']:,}",
            f"runs                        {v.runs:,}",
            f"  retries after a failure   {v.retries:,}",
            f"  repeats after a kill      {v.repeats:,}",
            f"    of work that had ended  {v.redone:,}",
            f"kill to repeat, seconds     median {statistics.median(delays):.2f}, "
            f"most {delays[-1]:.2f}",
            f"served in                   {took:.1f} s, {v.tasks / took:,.0f} tasks/s",
            f"contradictions              {len(v.wrong):,}",
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--kill-every", type=float, default=0.5, help="seconds, on average")
    parser.add_argument("--deaths", type=float, default=0.0005, help="share of tasks (twice)")
    parser.add_argument("--seconds", type=float, default=600.0, help="give up after")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    plan = Plan(options.tasks, options.workers, options.kill_every, options.deaths, options.seconds)
    fleet = Fleet()
    try:
        with tempfile.TemporaryDirectory() as folder:
            url = fleet.flushed(DEFAULT).url
            verdict, took = asyncio.run(run(url, Path(folder), plan, options.seed))
    finally:
        fleet.stop()
    lines = [f"seed {options.seed}", figures(verdict, took), *verdict.wrong[:20]]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
