"""How many grants a second does one process get? 50 tasks on 4 slots with empty bodies.

The question of `peers/grants.py`, for one process and the peers of the `dev` extra.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from benchmarks.figure import Figure
from benchmarks.peers import grants as peers_grants
from benchmarks.peers import ways
from benchmarks.peers.ways import loco
from benchmarks.peers.ways.slot import Slot
from loco_redis._server import EmbeddedServer

SLOTS = 4
CONTENDERS = (ways.LOCO, ways.SELF_LIMITERS, ways.SELF_LIMITERS_KEPT, ways.BLPOP)

_names = count()


@asynccontextmanager
async def ours(url: str, tasks: int) -> AsyncIterator[Slot]:
    """The public API; each task is an agent of its own."""
    async with loco.ours(url, f"throughput_{next(_names)}", SLOTS, tasks) as slot:
        yield slot


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


def run(
    process: EmbeddedServer, *, rounds: int = 9, tasks: int = 50, seconds: float = 0.5
) -> list[Figure]:
    """A row for each peer, and for one that is used with more care."""
    return peers_grants.run(
        process, rounds=rounds, tasks=tasks, seconds=seconds, most=1, peers=CONTENDERS
    )
