"""Programs that end with leases held and schedulers open; the first argument names one.

    python shutdowns.py NAME URL LEASE

Each tells the moment at which it is at its end, as time.time().
"""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import loco_redis as loco
from loco_redis import AsyncLOCOScheduler, LOCOScheduler, SharedResource

URL, LEASE = sys.argv[2], float(sys.argv[3])
KEPT: list[Any] = []  # until the interpreter clears the modules
PROGRAMS: dict[str, Callable[[], None]] = {}


def program(body: Callable[[], None]) -> Callable[[], None]:
    PROGRAMS[body.__name__] = body
    return body


def in_a_loop(body: Callable[[], Any]) -> Callable[[], None]:
    PROGRAMS[body.__name__] = lambda: asyncio.run(body())
    return PROGRAMS[body.__name__]


def opened() -> AsyncLOCOScheduler:
    return AsyncLOCOScheduler([], SharedResource("llm", None), redis=URL, lease_ttl=LEASE)


def opened_blocking() -> LOCOScheduler:
    return LOCOScheduler([], SharedResource("llm", None), redis=URL, lease_ttl=LEASE)


def configured() -> None:
    loco.configure(redis=URL, resource_name="llm", lease_ttl=LEASE)


def at_end() -> None:
    os.write(1, f"{time.time()}\n".encode())


@in_a_loop
async def loop_ends_unclosed() -> None:
    await opened().acquire_start("a")
    at_end()


@in_a_loop
async def loop_ends_kept() -> None:
    KEPT.append(await opened().acquire_start("a"))
    at_end()


@in_a_loop
async def loop_ends_with_tasks() -> None:
    scheduler, held = opened(), asyncio.Event()

    async def hold() -> None:
        async with scheduler.acquire("a"):
            held.set()
            await asyncio.Event().wait()

    KEPT.extend(asyncio.create_task(hold()) for _ in range(12))  # some of them wait
    await held.wait()
    at_end()


@program
def loop_closed() -> None:
    loop = asyncio.new_event_loop()
    KEPT.append(loop.run_until_complete(opened().acquire_start("a")))
    loop.close()
    at_end()


@program
def loop_left() -> None:
    loop = asyncio.new_event_loop()
    KEPT.append(loop.run_until_complete(opened().acquire_start("a")))
    at_end()


@in_a_loop
async def exit_in_a_body() -> None:
    async with opened() as scheduler, scheduler.acquire("a"):
        at_end()
        sys.exit(0)


@in_a_loop
async def exit_in_a_body_unclosed() -> None:
    async with opened().acquire("a"):
        at_end()
        sys.exit(0)


@program
def blocking_exit_in_a_body() -> None:
    with opened_blocking() as scheduler, scheduler.acquire("a"):
        at_end()
        sys.exit(0)


@program
def blocking_unclosed() -> None:
    KEPT.append(opened_blocking().acquire_start("a"))
    at_end()


@program
def blocking_dropped() -> None:
    opened_blocking().acquire_start("a")
    at_end()


@program
def at_once() -> None:
    KEPT.append(opened_blocking().acquire_start("a"))
    at_end()
    os._exit(0)


@program
def default_blocking() -> None:
    configured()
    KEPT.append(loco.get_blocking_scheduler().acquire_start("a"))
    at_end()


@in_a_loop
async def default_of_a_loop() -> None:
    configured()
    KEPT.append(await loco.get_scheduler().acquire_start("a"))
    at_end()


@program
def error_at_exit() -> None:
    def fail() -> None:
        raise ValueError("the user's own")

    atexit.register(fail)
    configured()
    KEPT.append(loco.get_blocking_scheduler().acquire_start("a"))
    KEPT.append(opened_blocking().acquire_start("a"))
    at_end()


@program
def used_at_exit() -> None:
    scheduler = opened_blocking()
    handle = scheduler.acquire_start("a")

    def leave() -> None:
        scheduler.release_handle(handle)
        scheduler.close()

    atexit.register(leave)
    at_end()


def daemons(scheduler: LOCOScheduler, pause: float) -> None:
    held = threading.Event()

    def work() -> None:
        while True:
            with scheduler.acquire("a"):
                held.set()
                time.sleep(pause)

    for _ in range(12):  # some of them wait
        threading.Thread(target=work, daemon=True).start()
    held.wait()
    at_end()


@program
def daemons_hold() -> None:
    daemons(opened_blocking(), 60.0)


@program
def daemons_pass() -> None:
    daemons(opened_blocking(), 0.001)


@program
def daemons_of_the_default() -> None:
    configured()
    daemons(loco.get_blocking_scheduler(), 0.001)


@program
def loop_of_a_daemon() -> None:
    held = threading.Event()

    async def main() -> None:
        async with opened() as scheduler, scheduler.acquire("a"):
            held.set()
            await asyncio.Event().wait()

    threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
    held.wait()
    at_end()


if __name__ == "__main__":
    PROGRAMS[sys.argv[1]]()
