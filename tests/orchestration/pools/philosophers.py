"""Fifty philosophers at a round table, ten in each of five processes, of which some are killed.

    python -m tests.orchestration.pools.philosophers --seconds 60

Each fork is a resource of one slot, all in one group. What each process did stands in its journal,
which outlives it; an oracle outside reads them all.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from loco_redis import SharedResource
from loco_redis._server import EmbeddedServer
from loco_redis.orchestration.pools.pool import ResourcePool
from tests.waiting import wait_until
from tests.workers import ROOT

SEATS, PROCESSES, LEASE = 50, 5, 1.0
EACH = SEATS // PROCESSES
WINDOW = 3.0  # seconds in which somebody must begin to eat


# A process of ten


def forks(seat: int) -> list[str]:
    return [f"fork{seat % SEATS:02d}", f"fork{(seat + 1) % SEATS:02d}"]


async def dine(url: str, first: int, journal: int) -> None:
    """Ten neighbours, until SIGTERM. A line of the journal is written at once or not at all."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with ResourcePool(redis=url, lease_ttl=LEASE) as pool:
        for seat in range(first, first + EACH + 1):
            pool.add(SharedResource(forks(seat)[0], 1, group="table"))
        eaters = [
            asyncio.create_task(philosopher(pool, seat, journal))
            for seat in range(first, first + EACH)
        ]
        ending = asyncio.create_task(stop.wait())
        await asyncio.wait([ending, *eaters], return_when=asyncio.FIRST_COMPLETED)
        for eater in eaters:
            eater.cancel()
        for result in await asyncio.gather(*eaters, return_exceptions=True):
            if not isinstance(result, asyncio.CancelledError):
                raise RuntimeError("a philosopher left the table") from result


async def philosopher(pool: ResourcePool, seat: int, journal: int) -> None:
    names = forks(seat)
    while True:
        asked = time.monotonic()
        async with pool.acquire_multiple(f"philosopher{seat:02d}", names) as leases:
            began = time.monotonic()
            tokens = [leases[name].token for name in names]
            note(journal, seat=seat, began=began, waited=began - asked, tokens=tokens)
            try:
                await asyncio.sleep(random.uniform(0.002, 0.02))
            finally:
                note(journal, seat=seat, ended=time.monotonic())
        await asyncio.sleep(random.uniform(0, 0.02))


def note(journal: int, **facts: object) -> None:
    os.write(journal, json.dumps(facts).encode() + b"\n")


# The table


class Process:
    """One of the five, and the journal that it leaves."""

    def __init__(self, url: str, first: int, journal: Path) -> None:
        self.first, self.journal = first, journal
        self.ended = 0.0
        command = [sys.executable, "-m", "tests.orchestration.pools.philosophers"]
        self._popen = subprocess.Popen(
            [*command, "--url", url, "--first", str(first), "--journal", str(journal)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()
        self.ended = time.monotonic()

    def terminate(self) -> None:
        self._popen.terminate()

    def stopped(self) -> int:
        code = self._popen.wait(30)
        self.ended = time.monotonic()
        return code

    def meals(self) -> list[Meal]:
        """In order; one that was cut short by a kill lasts until the process was gone."""
        found: dict[int, Meal] = {}
        done: list[Meal] = []
        text = self.journal.read_bytes() if self.journal.exists() else b""
        for line in text.rpartition(b"\n")[0].splitlines():  # the last one may not be whole yet
            facts = json.loads(line)
            if "began" in facts:
                began, waited, tokens = facts["began"], facts["waited"], facts["tokens"]
                found[facts["seat"]] = Meal(facts["seat"], began, self.ended, waited, tokens)
            else:
                meal = found.pop(facts["seat"])
                meal.ended = facts["ended"]
                done.append(meal)
        return done + list(found.values())


@dataclass
class Meal:
    seat: int
    began: float
    ended: float
    waited: float
    tokens: list[int]


@dataclass
class Evening:
    """What happened: figures, and what the oracle found wrong."""

    seconds: float
    meals: int
    least: int
    middle: float
    most: int
    kills: int
    longest_wait: float
    longest_gap: float
    wrong: list[str]

    def __str__(self) -> str:
        return (
            f"{SEATS} philosophers, {PROCESSES} processes, {self.seconds:.0f} s, "
            f"{self.kills} processes killed\n"
            f"meals: {self.meals} ({self.meals / self.seconds:.0f} a second); of one philosopher: "
            f"{self.least} to {self.most}, median {self.middle:.0f}\n"
            f"longest wait of one: {self.longest_wait:.2f} s; longest time in which nobody began: "
            f"{self.longest_gap:.2f} s\n"
            f"neighbours who ate at the same time, and tokens out of order: {len(self.wrong)}"
        )


def run(seconds: float, kill_every: float, url: str, folder: Path) -> Evening:
    """Dine for so long after somebody of each process has eaten; then all leave and nothing may be
    held. The processes are killed in turn."""
    processes, gone = [], list[Process]()
    for number in range(PROCESSES):
        processes.append(Process(url, number * EACH, folder / f"{number}-0"))
    try:
        wait_until(lambda: all(each.meals() for each in processes), 60, "all processes to begin")
        started = time.monotonic()
        kills, next_kill = 0, started + kill_every
        while time.monotonic() < started + seconds:
            time.sleep(0.05)
            # The last one killed shall come back, and what it held.
            if time.monotonic() > next_kill and next_kill < started + seconds - WINDOW:
                number = kills % PROCESSES
                processes[number].kill()
                gone.append(processes[number])
                kills += 1
                journal = folder / f"{number}-{kills}"
                processes[number] = Process(url, number * EACH, journal)
                next_kill += kill_every
        ended = time.monotonic()
        for process in processes:
            process.terminate()
        codes = [process.stopped() for process in processes]
    except BaseException:
        for process in processes:
            process.kill()
        raise
    meals = sorted((m for each in gone + processes for m in each.meals()), key=lambda m: m.began)
    return judge(meals, started, ended, kills, codes)


def judge(meals: list[Meal], started: float, ended: float, kills: int, codes: list[int]) -> Evening:
    """The oracle: it knows only what was written when somebody began and ended to eat."""
    wrong = [f"a process ended with {code}" for code in codes if code]
    for fork in range(SEATS):
        last: Meal | None = None
        token = 0
        for meal in meals:
            if fork not in (meal.seat, (meal.seat + 1) % SEATS):
                continue
            if last is not None and meal.began < last.ended:
                wrong.append(f"fork {fork}: {last} and {meal}")
            mine = meal.tokens[0 if fork == meal.seat else 1]
            if mine <= token:
                wrong.append(f"fork {fork}: token {mine} after {token}")
            last, token = meal, mine
    eaten = [0] * SEATS
    for meal in meals:
        eaten[meal.seat] += 1
    begun = [started, *(m.began for m in meals if started < m.began < ended), ended]
    gaps = [later - earlier for earlier, later in itertools.pairwise(begun)]
    return Evening(
        ended - started,
        len(meals),
        min(eaten),
        median(eaten),
        max(eaten),
        kills,
        max((meal.waited for meal in meals), default=0.0),
        max(gaps),
        wrong,
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--kill-every", type=float, default=4.0)
    options.add_argument("--url")
    options.add_argument("--first", type=int, help="of the seats of this process; not by hand")
    options.add_argument("--journal")
    told = options.parse_args()
    if told.first is not None:
        journal = os.open(told.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        asyncio.run(dine(told.url, told.first, journal))
        return
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer.start() as server:
        evening = run(told.seconds, told.kill_every, told.url or server.url, Path(folder))
        sys.stdout.write(f"{evening}\n")
        for line in evening.wrong[:10]:
            sys.stdout.write(f"WRONG: {line}\n")
        sound = not evening.wrong and evening.least > 0 and evening.longest_gap < WINDOW
        sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
