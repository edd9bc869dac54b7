"""What a request of AutoGen asks for, what it has used, and how its token cancels it."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Self, TypeVar

from loco_redis._extras import need
from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.model_call import ModelCall
from loco_redis.adapters._calls.passage import Passage
from loco_redis.adapters._calls.schedulers import async_scheduler
from loco_redis.adapters._calls.streams import AsyncStream
from loco_redis.adapters.usage import Usage, count

_core = need("autogen_core", "autogen")
_Base: Any = _core.CancellationToken

R = TypeVar("R")

_LIMITS = ("max_completion_tokens", "max_tokens")
_IMAGE = {"type": "base64"}  # as the count of tokens knows it


def call_of(
    conductor: Conductor, inner: Any, messages: Any, more: dict[str, Any]
) -> tuple[ModelCall, Callable[[], dict[str, Any]]]:
    """The call, and what gives the arguments with which it is made."""
    extra: Mapping[str, Any] = more.get("extra_create_args", {})
    own = getattr(inner, "_create_args", None)  # 0.7 has no public way to the model's name
    arguments = {**(own if isinstance(own, dict) else {}), **extra}
    model = arguments.get("model")
    named = isinstance(model, str)
    turned: list[str] = []

    def with_model() -> dict[str, Any]:
        return {**more, "extra_create_args": {**extra, "model": turned[0]}} if turned else more

    call = conductor.call(
        str(model) if named else "",
        [_prompt(messages), [_schema(tool) for tool in more.get("tools", ())]],
        next((count(arguments[name]) for name in _LIMITS if name in arguments), None),
        agent_id=_handler(),
        use=turned.append if named and not _deployed(inner) else None,
    )
    return call, with_model


def _deployed(inner: Any) -> bool:
    """Azure's URLs name a deployment, whose model is what it is."""
    return "azure_deployment" in getattr(inner, "_raw_config", {})


def _handler() -> str | None:
    """The type of the agent that handles a message here. In a team of agentchat it ends with the
    team's id, which is also the agent's key."""
    try:
        agent = _core.MessageHandlerContext.agent_id()
    except RuntimeError:  # not called by a handler
        return None
    return str(agent.type).removesuffix(f"_{agent.key}") or None


def _prompt(messages: Any) -> list[Any]:
    parts: list[Any] = []
    for message in messages:
        content = message.content
        parts += [content] if isinstance(content, str) else [_text(part) for part in content]
    return parts


def _text(part: Any) -> Any:
    """A text, an image, a function's call, or its result."""
    if isinstance(part, str):
        return part
    if isinstance(part, _core.Image):
        return _IMAGE
    return [getattr(part, name, "") for name in ("name", "arguments", "content")]


def _schema(tool: Any) -> Any:
    return tool if isinstance(tool, dict) else tool.schema


def used(result: Any) -> Usage | None:
    """Of a CreateResult, which does not tell what of its prompt came from a cache of the
    provider's. Zeros mean that the provider does not tell."""
    if result.cached:  # by AutoGen: nothing was asked
        return Usage()
    prompt, output = count(result.usage.prompt_tokens), count(result.usage.completion_tokens)
    return Usage(input_tokens=prompt, output_tokens=output) if prompt or output else None


def read_whole(call: ModelCall, result: Any) -> Usage | None:
    content = result.content
    call.seen(content if isinstance(content, str) else _arguments(content))
    return used(result)


def read(call: ModelCall, chunk: Any) -> None:
    if isinstance(chunk, str):
        call.seen(chunk)
        return
    if not isinstance(chunk.content, str):
        call.seen(_arguments(chunk.content))
    call.used(used(chunk))
    call.ended()  # a reader may stop here


def _arguments(calls: Any) -> str:
    return "".join(call.arguments for call in calls)


async def linked(asking: Coroutine[Any, Any, R], token: Any) -> R:
    """Ends when its token is cancelled, also while it waits for a slot."""
    if token is None:
        return await asking
    task = asyncio.ensure_future(asking)
    token.link_future(task)
    return await task


class _Token(_Base):
    """Stands between the caller's token and the inner client, which links to it what it awaits:
    among that, the SDK's stream.

    AutoGen's clients leave that alone when they are closed between two reads: the provider would
    work on, without a slot, until the garbage collector comes by.
    """

    def __init__(self, outer: Any) -> None:
        super().__init__()
        self._streams: list[Any] = []
        if outer is not None:  # which may be for many calls, and must not hold their streams
            cancel = weakref.WeakMethod(self.cancel)
            outer.add_callback(lambda: (alive := cancel()) and alive())

    def link_future(self, future: asyncio.Future[Any]) -> asyncio.Future[Any]:
        if not self._streams:
            future.add_done_callback(self._note)
        return super().link_future(future)  # type: ignore[no-any-return]

    def _note(self, future: asyncio.Future[Any]) -> None:
        if not future.cancelled() and future.exception() is None:
            opened = future.result()
            if hasattr(opened, "__anext__") and hasattr(opened, "close"):
                self._streams.append(opened)

    async def close(self) -> None:
        for opened in self._streams:
            await opened.close()


class ClientStream(AsyncStream[Any]):
    """The chunks of `open(token)`. The caller's `token` ends it also while it waits for a slot."""

    def __init__(
        self, conductor: Conductor, call: ModelCall, open: Callable[[Any], Any], token: Any
    ) -> None:
        inner = _Token(token)
        self._token, self._inner = token, inner
        passage = Passage(async_scheduler(conductor.scheduler)(), call)
        super().__init__(passage, call, lambda: open(inner), read)

    async def start(self) -> Self:
        await linked(self._start(), self._token)
        return self

    async def _start(self) -> None:
        await super().start()

    async def _close(self) -> None:
        try:
            await super()._close()
        finally:
            await self._inner.close()
