"""What a member of a crew does with a task queue, at its parent's orders."""

from __future__ import annotations

import asyncio
import os
import time
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.peers import marks
from benchmarks.peers.member import Orders, found
from benchmarks.peers.tools.tool import Tool

#: Submissions under way at once, where the tool is asynchronous.
AT_ONCE = 50


async def serve(
    orders: Orders, *, tool: str, url: str, name: str, concurrency: int, me: int
) -> None:
    """Carry out {"do": "submit", "jobs": [seconds, ...]} and {"do": "serve", "count": n}."""
    with TemporaryDirectory(prefix="loco-redis-peers-") as folder:
        os.environ[marks.VARIABLE] = os.path.join(folder, "marks")
        async with found(tool)(url, name, concurrency) as used:
            orders.answer("ready")
            async for order in orders:
                do = {"submit": submit, "serve": served}[order.pop("do")]
                orders.answer(await do(used, **order))


async def submit(tool: Tool, *, jobs: list[float]) -> float:
    """Submit them in this order; returns the seconds it took."""
    waiting = iter(jobs)

    async def caller() -> None:
        for seconds in waiting:
            await tool.submit(seconds)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(min(AT_ONCE, len(jobs)))))
    return time.perf_counter() - began


async def served(
    tool: Tool, *, count: int, longest: float = 0.0, patience: float = 60.0
) -> list[Any]:
    """Run a worker until so many jobs have been done, one of them of `longest` seconds; returns
    (seconds, moment) of each. A tool may do a job more than once.

    Raises:
        TimeoutError: they were not, in `patience` seconds; where only the longest has not been
            done, the others are returned.
    """

    def done() -> bool:
        return marks.count() >= count and (not longest or longest in dict(marks.noted()))

    marks.forget()
    async with tool.serving(count):
        try:
            async with asyncio.timeout(patience):
                while not done():  # noqa: ASYNC110 - a file tells nobody
                    await asyncio.sleep(0.005)
        except TimeoutError:
            if not longest or marks.count() < count - 1:
                raise
    return marks.noted()
