"""What a member of a crew does with the slots of one way, at its parent's orders.

Moments are of CLOCK_MONOTONIC, which processes share, in seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from benchmarks.peers.member import Orders, found
from benchmarks.peers.ways.slot import Slot


async def serve(
    orders: Orders,
    *,
    way: str,
    url: str,
    name: str,
    slots: int,
    tasks: int,
    options: dict[str, Any],
    me: int,
) -> None:
    """Carry out `{"do": a function of this module, ...its arguments}`, one after the other."""
    async with found(way)(url, name, slots, tasks, **options) as slot:
        orders.answer("ready")
        async for order in orders:
            match order.pop("do"):
                case "grants":
                    orders.answer(await grants(slot, slots, **order))
                case "hold":
                    orders.answer(await hold(slot, orders, **order))
                case "line":
                    orders.answer(await line(slot, **order))
                case "crowd":
                    await crowd(slot, orders, **order)


async def grants(
    slot: Slot, slots: int, *, tasks: int, start: float, seconds: float, body: float = 0.0
) -> dict[str, float]:
    """Let `tasks` tasks enter and leave from `start` on, for `seconds`.

    Args:
        body: seconds that a body sleeps for.

    Returns:
        count: bodies begun in that time; busy: seconds of it that bodies ran for, added up.

    Raises:
        AssertionError: more than `slots` bodies at once, in this process alone.
    """
    end, inside, count, busy = start + seconds, 0, 0, 0.0

    async def work(task: int) -> None:
        nonlocal inside, count, busy
        while time.monotonic() < end:
            async with slot(task):
                began = time.monotonic()
                inside += 1
                assert inside <= slots
                if body:
                    await asyncio.sleep(body)
                    busy += max(0.0, min(time.monotonic(), end) - began)
                inside -= 1
                count += began < end

    await asyncio.sleep(start - time.monotonic())
    await asyncio.gather(*(work(task) for task in range(tasks)))
    return {"count": count, "busy": busy}


async def hold(
    slot: Slot,
    orders: Orders,
    *,
    task: int | str,
    times: int = 1,
    body: float = 0.0,
    tell: bool = False,
) -> list[tuple[float, float]]:
    """Hold a slot `times` times, all at once, each for `body` seconds.

    Args:
        tell: answer when a body begins, too.

    Returns:
        When each body began and ended.
    """

    async def once() -> tuple[float, float]:
        async with slot(task):
            began = time.monotonic()
            if tell:
                orders.answer(began)
            await asyncio.sleep(body)
            return began, time.monotonic()

    return await asyncio.gather(*(once() for _ in range(times)))


async def line(
    slot: Slot, *, backlog: int, refill: bool, patience: float, settle: float
) -> list[str]:
    """Let `backlog` requests of "batch" wait, then one of "lone", and serve until that is done.

    Args:
        refill: whether a request of "batch" that is served is followed by another.
        patience: seconds after which it is given up.
        settle: seconds in which requests that were sent reach the server and wait there.

    Returns:
        Whose bodies began since "lone" asked, in this order, up to its own.
    """
    served: list[str] = []
    opened, over = asyncio.Event(), asyncio.Event()

    async def ask(who: str) -> None:
        while not over.is_set():
            async with slot(who):
                if opened.is_set() or who == "lone":
                    served.append(who)
                await opened.wait()
                await asyncio.sleep(0)
            if who == "lone":
                over.set()
            if not refill:
                return

    tasks = [asyncio.create_task(ask("batch")) for _ in range(backlog + 1)]
    await asyncio.sleep(settle)  # until all but one wait
    tasks.append(asyncio.create_task(ask("lone")))
    await asyncio.sleep(settle)
    opened.set()
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            await over.wait()
    found = served.copy()
    over.set()
    await asyncio.gather(*tasks)  # who is cancelled might take a token along
    return found


async def crowd(slot: Slot, orders: Orders, *, tasks: int) -> None:
    """Let `tasks` tasks enter and leave, each again and again, but only while the parent says so.

    Answers when all have asked for a slot; {"seconds": s} opens the bodies of those that hold one
    for so long and answers how many bodies have ended and in what time; without an order it ends.
    A body gives way to the event loop once.
    """
    ran, asked = 0, set[int]()
    ready, opened = asyncio.Event(), asyncio.Event()

    async def work(task: int) -> None:
        nonlocal ran
        while True:
            asked.add(task)
            if len(asked) == tasks:
                ready.set()
            async with slot(task):
                await asyncio.sleep(0)
                await opened.wait()
                ran += 1

    async with running([asyncio.create_task(work(task)) for task in range(tasks)]):
        await ready.wait()
        orders.answer("asked")
        async for order in orders:
            before, began = ran, time.monotonic()
            opened.set()
            await asyncio.sleep(order["seconds"])
            opened.clear()
            orders.answer((ran - before, time.monotonic() - began))


@asynccontextmanager
async def running(tasks: list[asyncio.Task[None]]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Until it is left."""
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
