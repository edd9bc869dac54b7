"""Handlers for tests."""

from __future__ import annotations

import asyncio
from typing import Any

from loco_redis.orchestration.agents import AgentCall


async def echo(message: Any, call: AgentCall) -> Any:
    return message


class Gate:
    """A handler that waits to be let through; it counts who is inside."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.inside = self.begun = self.peak = 0

    async def __call__(self, message: Any, call: AgentCall) -> Any:
        self.begun += 1
        self.inside += 1
        self.peak = max(self.peak, self.inside)
        try:
            await self.open.wait()
        finally:
            self.inside -= 1
        return message
