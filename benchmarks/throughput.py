"""How many grants a second does one process get? 50 tasks on 4 slots with empty bodies.

Each peer is used as its documents show; how much a peer gains when it is used with more care is
reported beside it. All run on one server over TCP, one after the other in each round; a ratio is
the median over the rounds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from statistics import median

from benchmarks import server
from benchmarks.figure import Figure, Must, spread
from benchmarks.peers.ways import blpop, loco
from benchmarks.peers.ways.self_limiters import as_in_readme, kept
from benchmarks.peers.ways.slot import Slot
from loco_redis._server import EmbeddedServer

SLOTS = 4

_names = count()


@asynccontextmanager
async def ours(url: str, tasks: int) -> AsyncIterator[Slot]:
    """The public API; each task is an agent of its own."""
    async with loco.ours(url, f"throughput_{next(_names)}", SLOTS, tasks) as slot:
        yield slot


CONTENDERS = (
    loco.ours,
    as_in_readme,
    kept,
    blpop.pooled,
    blpop.dedicated,
)

# It connects anew for every use; as many uses as the others have would wear out the ports of the
# machine and make it slower than it is.
_FEWER = {as_in_readme: 5}


async def grants_per_second(slot: Slot, tasks: int, grants: int) -> float:
    """Let `tasks` tasks enter and leave until `grants` bodies have run.

    Raises:
        AssertionError: more than SLOTS bodies at once.
    """
    left, inside = grants, 0

    async def work(task: int) -> None:
        nonlocal left, inside
        while left > 0:
            left -= 1
            async with slot(task):
                inside += 1
                assert inside <= SLOTS
                inside -= 1

    began = time.perf_counter()
    await asyncio.gather(*(work(task) for task in range(tasks)))
    return grants / (time.perf_counter() - began)


async def _rounds(
    url: str, rounds: int, tasks: int, grants: int
) -> dict[Callable[..., object], list[float]]:
    rates: dict[Callable[..., object], list[float]] = {way: [] for way in CONTENDERS}
    async with AsyncExitStack() as stack:
        slots = {
            way: await stack.enter_async_context(
                way(url, f"throughput_{next(_names)}", SLOTS, tasks)
            )
            for way in CONTENDERS
        }
        for slot in slots.values():  # connections, scripts
            await grants_per_second(slot, tasks, 2 * tasks)
        for _ in range(rounds):
            for way, slot in slots.items():
                share = grants // _FEWER.get(way, 1)
                rates[way].append(await grants_per_second(slot, tasks, share))
    return rates


def run(
    process: EmbeddedServer, *, rounds: int = 9, tasks: int = 50, grants: int = 3000
) -> list[Figure]:
    """A row for each peer, and for each peer used with more care."""
    with server.connected(process):
        rates = asyncio.run(_rounds(process.url, rounds, tasks, grants))
    question = f"grants/s in one process, {tasks} tasks on {SLOTS} slots, against"

    def row(way: Callable[..., object], label: str, must: Must | None) -> Figure:
        mine, theirs = rates[loco.ours], rates[way]
        ratio = median(a / b for a, b in zip(mine, theirs, strict=True))
        detail = (
            f"{median(mine):,.0f}/s ({spread(mine)}) against "
            f"{median(theirs):,.0f}/s ({spread(theirs)})"
        )
        return Figure(f"{question} {label}", ratio, "x", must, detail)

    return [
        row(as_in_readme, "self-limiters, as in its README", Must(2.5, at_least=True)),
        row(kept, "self-limiters, one object kept", None),
        row(blpop.pooled, "a bare BLPOP token list", Must(1, at_least=True)),
        row(blpop.dedicated, "the same with a connection for each task", None),
    ]
