"""A server of tools that do what tests tell them to; as a program: over stdio."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis.adapters.mcp import ScheduledTools, by_tool
from tests.frameworks.gated import Gated
from tests.schedulers import NAME


class Tools(Gated):
    def __init__(self, scheduler: AsyncLOCOScheduler) -> None:
        super().__init__()
        self.scheduler = scheduler

    def server(self, **options: Any) -> MCPServer:
        server: MCPServer = MCPServer(
            "tools", extensions=[ScheduledTools(self.scheduler, **options)]
        )
        for tool in (self.who, self.gated, self.sync, self.wrong, self.crashes):
            server.tool()(tool)
        return server

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
