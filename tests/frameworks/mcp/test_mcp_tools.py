"""Tool calls of the real SDK's server, over each of its transports, with its own client."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.server.lowlevel import Server
from mcp.types import CallToolResult, ListToolsResult, TextContent, Tool

import loco_redis
from loco_redis import BudgetPolicy
from loco_redis.adapters.mcp import (
    AGENT,
    RETRY_AFTER,
    ScheduledTools,
    by_client,
    by_meta,
    by_tool,
)
from tests.frameworks.groups import ROOT
from tests.frameworks.mcp.tool_server import Tools
from tests.schedulers import Schedulers
from tests.waiting import eventually

ANALYST = {AGENT: "analyst"}
Connect = Callable[..., Any]


@asynccontextmanager
async def by_memory(server: Any) -> AsyncIterator[Client]:
    async with Client(server) as client:
        yield client


@asynccontextmanager
async def by_memory_legacy(server: Any) -> AsyncIterator[Client]:
    async with Client(server, mode="legacy") as client:
        yield client


@asynccontextmanager
async def by_http(server: Any) -> AsyncIterator[Client]:
    async with _serving(server) as url, Client(url) as client:
        yield client


@asynccontextmanager
async def by_http_legacy(server: Any) -> AsyncIterator[Client]:
    async with _serving(server) as url, Client(url, mode="legacy") as client:
        yield client


@asynccontextmanager
async def _serving(server: Any) -> AsyncIterator[str]:
    config = uvicorn.Config(
        server.streamable_http_app(), "127.0.0.1", 0, log_level="warning", ws="none",
        timeout_graceful_shutdown=5,
    )  # fmt: skip
    config.load()
    running = uvicorn.Server(config)
    running.lifespan = config.lifespan_class(config)
    await running.startup()
    try:
        yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}/mcp"
    finally:
        await running.shutdown()


@pytest.fixture(params=[by_memory, by_memory_legacy, by_http, by_http_legacy])
def connect(request: pytest.FixtureRequest) -> Connect:
    made: Connect = request.param
    return made


@pytest.fixture(params=[by_memory_legacy, by_http, by_http_legacy])
def connect_apart(request: pytest.FixtureRequest) -> Connect:
    """Without that by which the SDK calls tools in the very task of the client."""
    made: Connect = request.param
    return made


async def at_rest(schedulers: Schedulers, tools: Tools) -> None:
    """Nobody waits or holds, and the next is served."""
    await eventually(lambda: schedulers.waiting() == 0, what="nobody waits")
    await eventually(lambda: schedulers.held() == 0, what="nobody holds")
    async with tools.scheduler.acquire("next", timeout=5):
        pass


def text(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def test_ok(schedulers: Schedulers, connect: Connect) -> None:
    """A call has one slot, which what the tool calls shares; its agent is that of its _meta."""
    tools = Tools(schedulers())
    async with tools.scheduler, connect(tools.server()) as client:
        for _ in range(2):
            result = await client.call_tool("who", meta=ANALYST)
            told = {"caller": "analyst", "lease": "analyst", "held": 1}
            assert result.structured_content == told
        assert (await client.call_tool("who")).structured_content["caller"] == "default"
        await at_rest(schedulers, tools)


async def test_error(schedulers: Schedulers, connect: Connect) -> None:
    """An error of a tool comes as without a scheduler, frees the slot, and counts as a failure."""
    errors: list[Any] = []
    tools = Tools(schedulers(on_task_completed=lambda _, error: errors.append(error)))
    async with tools.scheduler, connect(tools.server()) as client:
        for tool in ("wrong", "crashes", "unknown", "who"):
            result = await client.call_tool(tool)
            assert result.is_error is (tool != "who")
        assert [error is None for error in errors] == [False, False, False, True]
        await at_rest(schedulers, tools)


async def test_cancelled_while_waiting(schedulers: Schedulers, connect: Connect) -> None:
    """A call that is cancelled while it waits leaves the queue; its tool never runs."""
    tools = Tools(schedulers())
    async with tools.scheduler, connect(tools.server()) as client:
        other = await tools.scheduler.acquire_start("other")
        call = asyncio.create_task(client.call_tool("gated"))
        await eventually(lambda: schedulers.waiting() == 1)
        await cancelled(call)
        await eventually(lambda: schedulers.waiting() == 0)
        await tools.scheduler.release_handle(other)
        assert tools.ended == []
        await at_rest(schedulers, tools)


async def test_cancelled_in_flight(schedulers: Schedulers, connect: Connect) -> None:
    """A call that is cancelled while it runs frees the slot."""
    tools = Tools(schedulers())
    async with tools.scheduler, connect(tools.server()) as client:
        call = asyncio.create_task(client.call_tool("gated"))
        await eventually(lambda: tools.running)
        await cancelled(call)
        await at_rest(schedulers, tools)
        assert tools.ended == ["gated"]


async def cancelled(call: asyncio.Task[Any]) -> None:
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_timed_out_in_flight(schedulers: Schedulers, connect: Connect) -> None:
    """A client that waits no longer frees the slot."""
    tools = Tools(schedulers())
    async with tools.scheduler, connect(tools.server()) as client:
        with pytest.raises(Exception, match="(?i)timed out"):
            await client.call_tool("gated", read_timeout_seconds=0.2)
        await at_rest(schedulers, tools)


async def test_client_gone(schedulers: Schedulers, connect_apart: Connect) -> None:
    """A client that leaves with calls waiting and running leaves nothing."""
    tools = Tools(schedulers())
    async with tools.scheduler:
        async with connect_apart(tools.server()) as client:
            calls = [asyncio.create_task(client.call_tool("gated")) for _ in range(3)]
            await eventually(lambda: schedulers.waiting() == 2 and tools.running)
        await at_rest(schedulers, tools)
        await asyncio.gather(*calls, return_exceptions=True)
        assert tools.ended == ["gated"]


async def test_many_of_one_agent(schedulers: Schedulers, connect: Connect) -> None:
    """Twenty calls of one agent: never more at once than there are slots."""
    tools = Tools(schedulers(3))
    async with tools.scheduler, connect(tools.server()) as client:
        calls = [asyncio.create_task(client.call_tool("gated", meta=ANALYST)) for _ in range(20)]
        await eventually(lambda: schedulers.waiting() == 17 and tools.running == 3)
        tools.gate.set()
        assert {text(result) for result in await asyncio.gather(*calls)} == {"ok"}
        assert tools.most == 3
        await at_rest(schedulers, tools)


async def test_sync_tools(schedulers: Schedulers, connect_apart: Connect) -> None:
    """Tools that are plain functions hold their slots until their threads end, cancelled or not."""
    tools = Tools(schedulers(2))
    async with tools.scheduler, connect_apart(tools.server()) as client:
        calls = [asyncio.create_task(client.call_tool("sync")) for _ in range(4)]
        await eventually(lambda: schedulers.waiting() == 2 and tools.running == 2)
        calls[0].cancel()
        await asyncio.wait([calls[0]])
        assert (schedulers.held(), schedulers.waiting()) == (2, 2)
        tools.go.set()
        results = await asyncio.gather(*calls[1:])
        assert {text(result) for result in results} == {"ok"}
        assert tools.most == 2
        await at_rest(schedulers, tools)


async def test_refused(schedulers: Schedulers, connect: Connect) -> None:
    """A refusal is an error of the tool, for the model to read, with seconds for programs."""
    tools = Tools(schedulers())
    async with tools.scheduler, connect(tools.server(timeout=0.3, retry_after=2)) as client:
        other = await tools.scheduler.acquire_start("other")
        result = await client.call_tool("who")
        await tools.scheduler.release_handle(other)
        assert result.is_error
        assert text(result) == "no slot became free in time: try again in 2 s"
        assert result.meta[RETRY_AFTER] == 2
        await at_rest(schedulers, tools)


async def test_other_refusals(schedulers: Schedulers) -> None:
    """A budget, an id that cannot be one, a scheduler that shuts down."""
    tools = Tools(schedulers(budget=BudgetPolicy(default_limit=1)))
    async with tools.scheduler, by_memory(tools.server()) as client:
        assert not (await client.call_tool("who")).is_error
        assert "budget is used up: try again in 1 s" in text(await client.call_tool("who"))
        assert "at most 512" in text(await client.call_tool("who", meta={AGENT: "a" * 600}))
        await tools.scheduler.shutdown(0)
        assert "shutting down" in text(await client.call_tool("who"))


async def test_slot_lost(schedulers: Schedulers) -> None:
    """A tool whose slot an operator takes away is cancelled, and its caller told."""
    tools = Tools(schedulers())
    async with tools.scheduler, by_memory(tools.server()) as client:
        call = asyncio.create_task(client.call_tool("gated"))
        await eventually(lambda: tools.running)
        (holder,) = (await tools.scheduler.snapshot()).holders
        await tools.scheduler.operations.release(holder.token)
        assert "slot was lost" in text(await call)
        await at_rest(schedulers, tools)


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ("fixed", "fixed"),
        (by_tool, "who"),
        (by_client, "mcp"),
        (by_meta, "analyst"),
        (lambda params, ctx: None, "default"),
    ],
)
async def test_agents(schedulers: Schedulers, connect: Connect, agent: Any, expected: str) -> None:
    """The agent is fixed, or what the function says of the call."""
    tools = Tools(schedulers())
    async with tools.scheduler, connect(tools.server(agent=agent)) as client:
        result = await client.call_tool("who", meta=ANALYST)
        assert result.structured_content["caller"] == expected


async def test_match(schedulers: Schedulers) -> None:
    """Tools that do not match take no slot, also while all are held."""
    tools = Tools(schedulers())
    server = tools.server(match=lambda name: name != "wrong", timeout=0)
    async with tools.scheduler, by_memory(server) as client:
        other = await tools.scheduler.acquire_start("other")
        assert "wrong" in text(await client.call_tool("wrong"))
        assert "no slot" in text(await client.call_tool("who"))
        await tools.scheduler.release_handle(other)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_low_level_server(schedulers: Schedulers, mode: Any) -> None:
    """The handler of a low-level server is wrapped."""
    scheduler = schedulers()
    scheduled = ScheduledTools(scheduler, agent=by_tool, timeout=0.5)

    async def list_tools(ctx: Any, params: Any) -> ListToolsResult:
        return ListToolsResult(tools=[Tool(name="held", input_schema={"type": "object"})])

    async def call_tool(ctx: Any, params: Any) -> CallToolResult:
        held = (await scheduler.snapshot()).held
        return CallToolResult(content=[TextContent(type="text", text=f"{params.name} {held}")])

    server = Server("low", on_list_tools=list_tools, on_call_tool=scheduled.wrap(call_tool))
    async with scheduler, Client(server, mode=mode) as client:
        assert text(await client.call_tool("held")) == "held 1"
        other = await scheduler.acquire_start("other")
        assert "no slot" in text(await client.call_tool("held"))
        await scheduler.release_handle(other)


async def test_stdio(schedulers: Schedulers) -> None:
    """A server in a process of its own: what it holds is free when its client goes."""
    here = schedulers()
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "tests.frameworks.mcp.tool_server", schedulers.server.url],
        cwd=ROOT,
    )
    async with here:
        async with Client(stdio_client(parameters)) as client:
            assert text(await client.call_tool("greet")) == "hello"
            call = asyncio.create_task(client.call_tool("sleeps"))
            await eventually(lambda: schedulers.held() == 1)
            assert "try again in 1 s" in text(await client.call_tool("greet"))
            await cancelled(call)
            await eventually(lambda: schedulers.held() == 0)
            last = asyncio.create_task(client.call_tool("sleeps"))
            await eventually(lambda: schedulers.held() == 1)
        await eventually(lambda: schedulers.held() == 0)
        await asyncio.gather(last, return_exceptions=True)


async def test_client_side(schedulers: Schedulers) -> None:
    """A client's calls are scheduled by the one-line API; with both sides' there are two slots."""
    tools = Tools(schedulers(2))
    loco_redis.configure(redis=schedulers.server.url, resource_name=tools.scheduler.name)
    try:
        async with tools.scheduler, by_http(tools.server()) as client:
            result = await loco_redis.wrap(client.call_tool, "who", agent_id="analyst")
            assert result.structured_content["held"] == 2
            await at_rest(schedulers, tools)
    finally:
        await loco_redis.reset()


def test_arguments() -> None:
    """What cannot be is refused at once."""
    for bad in ({"weight": 0}, {"timeout": "1"}, {"retry_after": -1}, {"agent": ""}):
        with pytest.raises(ValueError):
            ScheduledTools(**bad)
    with pytest.raises(ValueError):
        ScheduledTools(object())
