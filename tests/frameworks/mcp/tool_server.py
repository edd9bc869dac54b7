"""A server of tools that do what tests tell them to; as a program: over stdio."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis.adapters.mcp import ScheduledTools, by_tool
from loco_redis.context import current
from tests.schedulers import NAME


class Tools:
    """Attributes: gate: tools wait for it; go: plain ones do. running, most, ended: of them."""

    def __init__(self, scheduler: AsyncLOCOScheduler) -> None:
        self.scheduler = scheduler
        self.gate, self.go = asyncio.Event(), threading.Event()
        self.running = self.most = 0
        self.ended: list[str] = []

    def server(self, **options: Any) -> MCPServer:
        server: MCPServer = MCPServer(
            "tools", extensions=[ScheduledTools(self.scheduler, **options)]
        )
        for tool in (self.who, self.gated, self.sync, self.wrong, self.crashes):
            server.tool()(tool)
        return server

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

    async def wrong(self) -> str:
        raise ToolError("wrong")

    async def crashes(self) -> str:
        raise RuntimeError("secret")


def main(url: str) -> None:
    scheduler = AsyncLOCOScheduler(resource=SharedResource(NAME, 1), redis=url, lease_ttl=2.0)

    @asynccontextmanager
    async def opened(_: MCPServer) -> AsyncIterator[None]:
        async with scheduler:
            yield

    scheduled = ScheduledTools(scheduler, agent=by_tool, timeout=0.3)
    server: MCPServer = MCPServer("tools", extensions=[scheduled], lifespan=opened)

    @server.tool()
    async def sleeps() -> str:
        await asyncio.sleep(60)
        return "ok"

    @server.tool()
    async def greet() -> str:
        return "hello"

    server.run("stdio")


if __name__ == "__main__":
    main(sys.argv[1])
