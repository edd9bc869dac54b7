"""What is called in a server under test, and waits until it is let go."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from loco_redis import AsyncLOCOScheduler
from loco_redis.context import current


class Gated:
    """Attributes:
    scheduler: the server's.
    gate: coroutines wait for it; go: plain functions do.
    running, most: of them at the moment, and the most there have been.
    ended: names of those that have ended, in order.
    """

    scheduler: AsyncLOCOScheduler

    def __init__(self) -> None:
        self.gate, self.go = asyncio.Event(), threading.Event()
        self.running = self.most = 0
        self.ended: list[str] = []

    async def who(self) -> dict[str, Any]:
        caller = current()
        async with self.scheduler.acquire("inner", nested="share") as lease:
            return {
                "caller": caller and caller.agent_id,
                "lease": lease.agent_id,
                "held": (await self.scheduler.snapshot()).held,
            }

    async def gated(self) -> str:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
            self.ended.append("gated")
        return "ok"

    def sync(self) -> str:
        self.running += 1
        self.most = max(self.most, self.running)
        self.go.wait(20)
        self.running -= 1
        self.ended.append("sync")
        return "ok"
