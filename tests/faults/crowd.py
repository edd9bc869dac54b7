"""Callers that go through the slots again and again while something is done to connections."""

from __future__ import annotations

import asyncio
import time

from loco_redis import AsyncLOCOScheduler


class Crowd:
    """Each caller asks one of `schedulers`, in turn; all share one resource of `capacity` slots.

    Attributes:
        tokens: of every body that has run, in the order in which they began.
        most: bodies at the same time.
        longest: seconds from asking to the body.
    """

    def __init__(self, capacity: int, *schedulers: AsyncLOCOScheduler) -> None:
        self._capacity, self._schedulers = capacity, schedulers
        self.tokens: list[int] = []
        self.most = self._inside = 0
        self.longest = 0.0
        self._enough = asyncio.Event()

    async def run(self, callers: int, bodies: int) -> None:
        """So many callers, each with at least so many bodies, and until `enough`."""
        await asyncio.gather(*(self._call(index, bodies) for index in range(callers)))
        assert len(self.tokens) == len(set(self.tokens)) >= callers * bodies
        assert self.most <= self._capacity

    def enough(self) -> None:
        self._enough.set()

    async def under(self, fault: asyncio.Task[None], callers: int = 6) -> None:
        """As long as `fault` goes on, and then one body more for each."""
        fault.add_done_callback(lambda _: self.enough())
        await asyncio.gather(fault, self._until_enough(callers))

    async def _until_enough(self, callers: int) -> None:
        async def go_on(index: int) -> None:
            while not self._enough.is_set():
                await self._call(index, 1)

        await asyncio.gather(*map(go_on, range(callers)))
        await self.run(callers, 1)

    async def _call(self, index: int, bodies: int) -> None:
        scheduler = self._schedulers[index % len(self._schedulers)]
        for _ in range(bodies):
            began = time.monotonic()
            async with scheduler.acquire(f"agent-{index}") as lease:
                self.longest = max(self.longest, time.monotonic() - began)
                self.tokens.append(lease.token)
                self._inside += 1
                self.most = max(self.most, self._inside)
                await asyncio.sleep(0.001)
                self._inside -= 1

    def __str__(self) -> str:
        doubled = len(self.tokens) - len(set(self.tokens))
        return (
            f"{len(self.tokens)} bodies, {doubled} tokens doubled, at most {self.most} at once; "
            f"longest wait {self.longest:.2f} s"
        )
