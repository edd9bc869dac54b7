"""How long from a release in one process until a body runs in another, that waits?

Two processes pass the only slot to and fro, and in alternation with that a bare pub/sub message:
redis-py's asyncio client, publish in one process to the message's arrival in the other. The times
are of CLOCK_MONOTONIC, which processes share.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from statistics import median, quantiles
from typing import Any

import redis.asyncio

from benchmarks import server
from benchmarks.figure import Figure, Must
from benchmarks.peers import ways
from benchmarks.peers.crew import Crew, guarding, hired
from benchmarks.peers.member import Orders, found
from benchmarks.peers.ways.slot import Slot
from loco_redis._server import EmbeddedServer

#: Seconds a body runs, and a message is kept: time for the other process to wait, asleep.
HOLD = 0.003
#: Seconds until a process that has released asks again: as after a message, it is quiet meanwhile.
PAUSE = 0.001
#: What runs in the processes.
PLACE = "benchmarks.handoff:serve"

#: When a body began, and when it ended, in ns.
Hold = tuple[int, int]
#: What a process notes of a message: (number in the order of all, "sent" or "got", ns).
Note = tuple[int, str, int]


async def _pass_slot(slot: Slot, task: int, times: int) -> list[Hold]:
    """Hold the slot `times` times."""
    holds: list[Hold] = []
    for _ in range(times):
        async with slot(task):
            got = time.monotonic_ns()
            await asyncio.sleep(HOLD)
            holds.append((got, time.monotonic_ns()))
        await asyncio.sleep(PAUSE)
    return holds


async def _pass_message(
    url: str, me: int, times: int, ready: Callable[[], Awaitable[None]]
) -> list[Note]:
    """Process 0 sends the even messages, process 1 the odd ones, each when it has got the last."""
    notes: list[Note] = []
    async with redis.asyncio.Redis.from_url(url) as client, client.pubsub() as pubsub:
        await pubsub.subscribe(f"to_{me}")
        messages = pubsub.listen()
        await anext(messages)  # the confirmation
        await client.ping()
        await ready()
        for turn in range(times):
            number = 2 * turn + me
            if number > 0:
                await anext(messages)
                notes.append((number - 1, "got", time.monotonic_ns()))
            await asyncio.sleep(HOLD)
            notes.append((number, "sent", time.monotonic_ns()))
            await client.publish(f"to_{1 - me}", b"%d" % number)
    return notes


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
    """Do what the parent says (member.py): "slot" or "message", so many times."""
    each = aiter(orders)

    async def ready() -> None:
        orders.answer("ready")
        await anext(each)

    async with found(way)(url, name, slots, tasks, **options) as slot:
        orders.answer("ready")
        async for order in each:
            if order["what"] == "slot":
                await ready()
                orders.answer(await _pass_slot(slot, me, order["times"]))
            else:
                orders.answer(await _pass_message(url, me, order["times"], ready))


def slot_delays(holds: list[list[Hold]]) -> list[float]:
    """Microseconds of each hand-off from one process to the other: with one slot, the holds of
    both, in the order in which they began, follow each other."""
    order = sorted((*hold, me) for me, found in enumerate(holds) for hold in found)
    return [
        (after[0] - before[1]) / 1000 for before, after in pairwise(order) if before[2] != after[2]
    ]


def message_delays(notes: list[list[Note]]) -> list[float]:
    """Microseconds that each message travelled, of those that arrived."""
    moments = {(number, kind): at for found in notes for number, kind, at in found}
    return [
        (at - moments[number, "sent"]) / 1000
        for (number, kind), at in moments.items()
        if kind == "got"
    ]


def block(crew: Crew, what: str, times: int) -> list[float]:
    """Microseconds of each hand-off ("slot") or message ("message") in one block."""
    for answer in crew.tell(what=what, times=times):
        assert answer == "ready"
    noted = crew.tell(what="go")
    return slot_delays(noted) if what == "slot" else message_delays(noted)


def percentiles(blocks: list[list[float]]) -> str:
    """p50 and p99 of all blocks together."""
    every = [delay for delays in blocks for delay in delays]
    cuts = quantiles(every, n=100, method="inclusive")
    return f"p50 {cuts[49]:.0f} us, p99 {cuts[98]:.0f} us"


def run(process: EmbeddedServer, *, blocks: int = 9, times: int = 50) -> list[Figure]:
    """One row: the median, over the blocks, of the ratio of the two medians."""
    _, _, python, arguments = guarding(ways.LOCO, 2, process.url, "handoff", 1, 1)
    with (
        server.connected(process),
        hired({"both": (2, PLACE, python, arguments)}) as crews,
    ):
        crew = crews["both"]
        for what in ("slot", "message"):
            block(crew, what, 5)  # connections, scripts
        slots, messages = [], []
        for _ in range(blocks):
            slots.append(block(crew, "slot", times))
            messages.append(block(crew, "message", times))
    ratio = median(median(s) / median(m) for s, m in zip(slots, messages, strict=True))
    return [
        Figure(
            "release in one process -> body runs in another, p50, against a bare pub/sub one-way",
            ratio,
            "x",
            Must(2.5),
            f"{percentiles(slots)} against {percentiles(messages)}",
        )
    ]
