"""Tool calls of an MCP server: each runs in a slot of its agent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from loco_redis import _validate as validate
from loco_redis._extras import need
from loco_redis.adapters._calls.schedulers import async_scheduler
from loco_redis.adapters._served import Refusal, caller_of, end_early, slot_of
from loco_redis.context import agent as acting
from loco_redis.errors import LeaseLostError, LocoRedisError
from loco_redis.scheduler import AsyncLOCOScheduler
from loco_redis.shortcuts._terms import Terms

need("mcp", "mcp")
Extension: Any = need("mcp.server.extension", "mcp").Extension
types = need("mcp.types", "mcp")

__all__ = ["AGENT", "RETRY_AFTER", "ScheduledTools", "by_client", "by_meta", "by_tool"]

#: Keys of `_meta`: of a call, who makes it; of a refusal, the seconds after which to try again.
AGENT, RETRY_AFTER = "loco-redis/agent", "loco-redis/retry-after"

#: Of the call's parameters and the SDK's request context.
AgentOf = Callable[[Any, Any], str | None]
Handler = Callable[[Any, Any], Awaitable[Any]]


def by_meta(params: Any, ctx: Any) -> str | None:
    """What the client says in the call's `_meta`."""
    return (params.meta or {}).get(AGENT)


def by_tool(params: Any, ctx: Any) -> str | None:
    """The tool's name."""
    return str(params.name)


def by_client(params: Any, ctx: Any) -> str | None:
    """The client id of the access token, where the server authenticates; else the name that the
    client gives itself."""
    token = need("mcp.server.auth.middleware.auth_context", "mcp").get_access_token()
    if token is not None:
        return str(token.client_id)
    told = ctx.session.client_params
    return None if told is None else str(told.client_info.name)


class ScheduledTools(Extension):
    """For `MCPServer(extensions=[ScheduledTools(scheduler)])`: each tool call waits for a slot and
    holds it until its result is there. One that is cancelled, or whose client goes, gives it back;
    plain functions run in threads, which end first.

    A refusal is the tool's result, an error whose text says when to try again.

    Args:
        scheduler: whose slots are taken; None: the one that `loco_redis.configure` made.
        agent: an id; or `by_meta`, `by_tool`, `by_client`, or a function of yours, of the call's
            parameters and the SDK's context. None from it: that of the context, or "default".
        match: says by the tool's name which calls take a slot; None: all.
        weight: of each call.
        timeout: seconds to wait for a slot; None: as long as the client does.
        retry_after: seconds that a refused caller is told where nothing better is known.

    Raises:
        ValueError: at once, for any of them out of range.
    """

    identifier = "loco-redis/slots"

    def __init__(
        self,
        scheduler: AsyncLOCOScheduler | None = None,
        *,
        agent: str | AgentOf = by_meta,
        match: Callable[[str], bool] | None = None,
        weight: float = 1.0,
        timeout: float | None = None,
        retry_after: float = 1.0,
    ) -> None:
        Terms.of(agent if isinstance(agent, str) else None, weight, timeout)
        validate.seconds("retry_after", retry_after, 0, 86_400)
        self._scheduler, self._agent, self._match = async_scheduler(scheduler), agent, match
        self._weight, self._timeout, self._retry_after = weight, timeout, retry_after

    async def intercept_tool_call(self, params: Any, ctx: Any, call_next: Any) -> Any:
        """Called by the SDK."""
        return await self._call(params, ctx, lambda: call_next(ctx))

    def wrap(self, handler: Handler) -> Handler:
        """The same for the low-level server: `Server(on_call_tool=tools.wrap(handler))`."""

        async def scheduled(ctx: Any, params: Any) -> Any:
            return await self._call(params, ctx, lambda: handler(ctx, params))

        return scheduled

    async def _call(self, params: Any, ctx: Any, call: Callable[[], Awaitable[Any]]) -> Any:
        if self._match is not None and not self._match(params.name):
            return await call()
        agent = self._agent
        agent_id = agent if isinstance(agent, str) else agent(params, ctx)
        try:
            return await self._in_slot(agent_id, params.name, call)
        except LeaseLostError as error:
            return self._refused(error)

    async def _in_slot(
        self, agent_id: str | None, tool: str, call: Callable[[], Awaitable[Any]]
    ) -> Any:
        async with AsyncExitStack() as stack:
            try:
                caller = caller_of(agent_id)
                slot = slot_of(self._scheduler(), caller, self._weight, self._timeout)
                await stack.enter_async_context(slot)
            except LocoRedisError as error:
                return self._refused(error)
            except ValueError as error:
                return _error(str(error))
            with acting.of(caller):
                result = await call()
            if _failed(result):
                await end_early(slot, ToolFailed(tool))
            return result

    def _refused(self, error: LocoRedisError) -> Any:
        refusal = Refusal.of(error, self._retry_after)
        if refusal is None:
            raise error
        if refusal.retry_after is None:
            return _error(refusal.detail)
        seconds = refusal.retry_after
        return _error(f"{refusal.detail}: try again in {seconds} s", {RETRY_AFTER: seconds})


class ToolFailed(Exception):
    """A tool has given an error as its result; what `on_task_completed` is told."""

    def __init__(self, tool: str) -> None:
        self.tool = tool
        super().__init__(tool)


def _failed(result: Any) -> bool:
    if isinstance(result, dict):
        return bool(result.get("isError"))
    return bool(getattr(result, "is_error", False))


def _error(text: str, meta: dict[str, Any] | None = None) -> Any:
    content = types.TextContent(type="text", text=text)
    return types.CallToolResult(content=[content], is_error=True, _meta=meta)
