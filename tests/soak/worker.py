"""A worker of the soak: callers of every sort, whose bodies write to the oracle.

    python -m tests.soak.worker NUMBER URL ORACLE CALLERS SEED LOGLEVEL

It tells by lines of JSON on stdout; on stdin it is told `block <seconds>`, `cancel <number>`,
`drain` (nothing new but serving durable tasks; it tells when nothing else is under way) and
`finish`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import threading
import time
import traceback
from collections import Counter
from contextlib import suppress

from loco_redis import (
    Agent,
    AsyncLOCOScheduler,
    BackendError,
    BudgetPolicy,
    ConfigMismatchError,
    LocoRedisError,
    SharedResource,
)
from tests.soak.callers import Caller, Purse, callers
from tests.soak.record import Pulse, log_to
from tests.soak.witness import Witness

NAME = "soak"
_STUCK = 30.0  # seconds of waiting, without a timeout, that are told of
_FINISH_WITHIN = 45.0


def tell(**facts: object) -> None:
    """One line, by one call: also from other threads."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def pulse() -> None:
    """A thread's life: tells when this process did not get to run."""
    pulse = Pulse(lambda begin, end: tell(event="slow", begin=begin, end=end))
    while True:
        time.sleep(Pulse.PERIOD)
        pulse.beat()


async def opened(url: str) -> AsyncLOCOScheduler:
    """A scheduler that has adopted what is stored. Where the server has just been emptied, others
    who know the configuration have to come first; where it is away, it is tried again."""
    while True:
        scheduler = AsyncLOCOScheduler(
            [Agent("capped", max_concurrency=1)],
            SharedResource(NAME, None),
            redis=url,
            backend_timeout=10.0,
            budget=BudgetPolicy(limits={"budgeted": 200}, period=2.0),
        )
        try:
            async with asyncio.timeout(20):
                await scheduler._connected()
            return scheduler
        except (ConfigMismatchError, BackendError, TimeoutError) as error:
            tell(event="opening", error=repr(error))
            await scheduler.aclose()
            await asyncio.sleep(0.1)


class Crew:
    """The callers of this process; one that is cancelled is replaced."""

    def __init__(self, purse: Purse, count: int, rng: random.Random) -> None:
        self._purse, self._rng = purse, rng
        self._tasks: dict[asyncio.Task[None], Caller] = {}
        for caller in callers(purse, count, rng):
            self._start(caller)

    def _start(self, caller: Caller) -> None:
        task = asyncio.create_task(caller.run())
        self._tasks[task] = caller
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        caller = self._tasks.pop(task)
        if task.cancelled():
            self._purse.outcomes["cancelled"] += 1
            caller.waits_since = 0.0
            self._start(caller)
        elif (error := task.exception()) is not None:
            tell(event="error", error="".join(traceback.format_exception(error)))

    def cancel(self, number: int) -> None:
        for task in self._rng.sample(list(self._tasks), min(number, len(self._tasks))):
            task.cancel()

    async def watch(self) -> None:
        """Tell of callers who wait for very long."""
        told: set[Caller] = set()
        while True:
            await asyncio.sleep(1)
            since = time.monotonic() - _STUCK
            for caller in set(self._tasks.values()) - told:
                if 0 < caller.waits_since < since:
                    told.add(caller)
                    tell(event="stuck", since=caller.waits_since, who=repr(caller))

    async def drained(self) -> None:
        """Return when only callers that last go on: a submission that is under way has ended."""
        while passing := [task for task, caller in self._tasks.items() if not caller.lasting]:
            await asyncio.wait(passing)

    async def finish(self) -> list[str]:
        """Wait for all to end; returns those who do not."""
        self._purse.finishing = True
        pending: set[asyncio.Task[None]] = set(self._tasks)
        if pending:
            _, pending = await asyncio.wait(pending, timeout=_FINISH_WITHIN)
        return [repr(self._tasks[task]) for task in pending]


async def drain(crew: Crew, purse: Purse) -> None:
    purse.draining = True
    await crew.drained()
    tell(event="drained")


async def listen(crew: Crew, purse: Purse) -> None:
    """Do what comes in on stdin, until it says `finish`; its end is the end."""
    draining: asyncio.Task[None] | None = None
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        match line.decode().split():
            case ["block", seconds]:
                time.sleep(float(seconds))  # noqa: ASYNC251  blocking the loop is the fault
            case ["cancel", number]:
                crew.cancel(int(number))
            case ["drain"]:
                draining = asyncio.create_task(drain(crew, purse))
            case ["finish"]:
                if draining is not None:
                    draining.cancel()
                return
    os._exit(1)


async def main(number: int, url: str, oracle: str, count: int, seed: str, level: str) -> None:
    log_to(sys.stderr, f"worker {number}", level)
    threading.Thread(target=pulse, daemon=True).start()
    witness = await Witness.open(oracle, number)
    scheduler = await opened(url)
    tell(event="open", session=scheduler.session_id)
    purse = Purse(scheduler, witness, f"{number}-{os.getpid()}", Counter())
    crew = Crew(purse, count, random.Random(seed))
    watching = asyncio.create_task(crew.watch())
    await listen(crew, purse)
    stuck = await crew.finish()
    watching.cancel()
    with suppress(LocoRedisError):
        await scheduler.shutdown()
    await scheduler.aclose()
    await witness.aclose()
    tell(event="finished", stuck=stuck, outcomes=purse.outcomes)


if __name__ == "__main__":
    which, place, socket, size, luck, loudness = sys.argv[1:]
    asyncio.run(main(int(which), place, socket, int(size), luck, loudness))
