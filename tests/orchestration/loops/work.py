"""What the loops of these tests call: work that counts itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from loco_redis.orchestration.loops.loop import AsyncLoopConfig

#: Quick retries, and no call of a test takes longer than this many seconds.
QUICK = AsyncLoopConfig(max_concurrency=2, timeout_seconds=10, backoff_base=0.001)


class Work:
    """Counts who runs.

    Attributes:
        calls: begun so far.
        running, most: at once, now and at the most.
        closed: streams that were closed.
    """

    def __init__(self) -> None:
        self.calls = self.running = self.most = self.closed = 0
        self.gate = asyncio.Event()

    def _enter(self) -> None:
        self.calls += 1
        self.running += 1
        self.most = max(self.most, self.running)

    async def echo(self, value: object = None, **more: object) -> object:
        """A turn of the event loop, or two."""
        self._enter()
        try:
            await asyncio.sleep(0.001)
        finally:
            self.running -= 1
        return (value, more) if more else value

    async def wait(self) -> str:
        """Until the gate opens."""
        self._enter()
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        return "through"

    async def fail(self, *errors: Exception) -> int:
        """The first call raises the first error, and so on; then it succeeds."""
        self._enter()
        self.running -= 1
        if self.calls <= len(errors):
            raise errors[self.calls - 1]
        return self.calls

    async def stream(self, items: int = 3, error: Exception | None = None) -> AsyncIterator[int]:
        """So many numbers; then the error, if any."""
        self._enter()
        try:
            for item in range(items):
                await asyncio.sleep(0)
                yield item
            if error is not None:
                raise error
        finally:
            await asyncio.sleep(0)  # closing takes a turn, as a connection's would
            self.running -= 1
            self.closed += 1
