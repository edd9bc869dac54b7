"""A program to be interrupted: it opens, waits, holds, releases and closes, again and again.

    python interrupted.py KIND URL LEASE TIMES

It survives all interrupts but the last one, and tells by single letters on stdout where it is: `!`
beginning anew, `o` opening, `w` asking, `h` holding, `l` leaving, `c` closing, `x` interrupted (it
goes on by a byte on stdin).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time

from loco_redis import (
    AsyncLOCOScheduler,
    LeaseLostError,
    LOCOScheduler,
    SharedResource,
    ShutdownError,
)

AGENT = f"agent-{os.getpid()}"


def at(place: str) -> None:
    os.write(1, place.encode())


async def pass_async(scheduler: AsyncLOCOScheduler) -> None:
    at("w")
    async with scheduler.acquire(AGENT):
        at("h")
        await asyncio.sleep(0.005)
        at("l")


def in_a_loop(url: str, lease: float) -> None:
    begun: list[bool] = []
    try:
        asyncio.run(again_and_again(url, lease, begun))
    except asyncio.CancelledError:
        # asyncio.Runner.run takes the signal over, and then sets its count of interrupts to 0: of
        # one that strikes between the two it knows only that the task was cancelled.
        if begun:
            raise
        raise KeyboardInterrupt from None


async def again_and_again(url: str, lease: float, begun: list[bool]) -> None:
    begun.append(True)
    while True:
        at("o")
        resource = SharedResource("llm", None)
        async with AsyncLOCOScheduler([], resource, redis=url, lease_ttl=lease) as scheduler:
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(pass_async(scheduler))
            at("c")


def pass_blocking(scheduler: LOCOScheduler) -> None:
    at("w")
    with scheduler.acquire(AGENT):
        at("h")
        time.sleep(0.005)
        at("l")


def in_the_main_thread(url: str, lease: float) -> None:
    while True:
        at("o")
        resource = SharedResource("llm", None)
        with LOCOScheduler([], resource, redis=url, lease_ttl=lease) as scheduler:
            for _ in range(3):
                pass_blocking(scheduler)
            at("c")


def in_worker_threads(url: str, lease: float) -> None:
    """Ctrl-C reaches the main thread, which leaves the scheduler while the workers are at work."""
    while True:
        at("o")
        resource = SharedResource("llm", None)
        with LOCOScheduler([], resource, redis=url, lease_ttl=lease) as scheduler:
            ends = time.monotonic() + 0.05
            workers = [threading.Thread(target=work, args=(scheduler, ends)) for _ in range(3)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            at("c")


def work(scheduler: LOCOScheduler, ends: float) -> None:
    with contextlib.suppress(ShutdownError, LeaseLostError):
        while time.monotonic() < ends:
            pass_blocking(scheduler)


if __name__ == "__main__":
    kind, place, ttl, times = sys.argv[1:]
    run = {"async": in_a_loop, "blocking": in_the_main_thread, "threads": in_worker_threads}[kind]
    with LOCOScheduler([], SharedResource("warm", 1), redis=place) as warm:
        warm.snapshot()
    for _ in range(int(times) - 1):
        try:
            at("!")
            run(place, float(ttl))
        except KeyboardInterrupt:
            at("x")
            os.read(0, 1)
    at("!")
    run(place, float(ttl))
