"""Microsoft Agent Framework: each request to a model waits for its slot.

The middleware runs for each request of the tool loop; tools run without a slot. Retries of a
provider's SDK are made below it, in the slot of the call.
"""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable
from typing import Any, Unpack

from loco_redis._extras import need
from loco_redis.adapters._calls.call import CallArguments
from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.model_call import ModelCall
from loco_redis.adapters._calls.schedulers import Given, async_scheduler
from loco_redis.adapters.agent_framework._calls import call_of, read, usage_of

_framework = need("agent_framework", "agent-framework")
_ChatBase: Any = _framework.ChatMiddleware
_AgentBase: Any = _framework.AgentMiddleware

Next = Callable[[], Awaitable[None]]


class SchedulerChatMiddleware(_ChatBase):
    """For `middleware=[...]` of a chat client: whoever asks it waits until its agent's turn has
    come. In a list for an agent it does the same for that agent's requests.

    Args:
        scheduler: whose slots are taken: an AsyncLOCOScheduler, or None: the one that
            `loco_redis.configure` made.
        options: as in CallArguments.

    The agent is that of the context, else the middleware's `agent_id`. A chat client is not told
    which of the framework's agents asks: SchedulerAgentMiddleware is.

    Raises:
        ValueError: any of them out of range, or a LOCOScheduler.
    """

    def __init__(self, scheduler: Given = None, **options: Unpack[CallArguments]) -> None:
        async_scheduler(scheduler)  # a ValueError at once
        self._conductor = Conductor("agent-framework", scheduler, **options)
        self._name: str | None = None

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"<{name} of {self._conductor.scheduler or 'the configured scheduler'}>"

    def _named(self, name: str | None) -> SchedulerChatMiddleware:
        """The same for an agent of this name."""
        named = SchedulerChatMiddleware.__new__(SchedulerChatMiddleware)
        named._conductor, named._name = self._conductor, name
        return named

    async def process(self, context: Any, call_next: Next) -> None:
        if context.stream:
            await self._stream(context, call_next)
            return

        async def send() -> Any:
            await call_next()
            return context.result

        call = call_of(self._conductor, context, self._name)
        await self._conductor.ask(call, send, lambda answer: usage_of(call, answer))

    async def _stream(self, context: Any, call_next: Next) -> None:
        """This is called when the stream is first read, and is over before its body: the slot goes
        with the stream that is put in the place of the client's."""

        async def open() -> Any:
            await call_next()
            return context.result

        def read_on(call: ModelCall, update: Any) -> None:
            # The context outlives the stream, by a cycle in the framework: it must not hold ours.
            if context.result is ours():
                context.result = inner
            read(call, update)

        call = call_of(self._conductor, context, self._name)
        stream = await self._conductor.stream(call, open, read_on).start()
        inner = context.result
        if not isinstance(inner, _framework.ResponseStream):  # the framework's own error
            await stream.aclose()
            return
        context.result = _framework.ResponseStream(
            stream, finalizer=lambda _: inner.get_final_response()
        )
        ours = weakref.ref(context.result)


class SchedulerAgentMiddleware(_AgentBase):
    """For `middleware=[...]` of an Agent: each request that it makes waits for its slot, in the
    agent's name, unless the context or `agent_id` names another.

    Args, Raises: as of SchedulerChatMiddleware, which it adds to each run. One in the list of the
    chat client would see the request first, and take the slot without knowing the name.
    """

    def __init__(self, scheduler: Given = None, **options: Unpack[CallArguments]) -> None:
        self._chat = SchedulerChatMiddleware(scheduler, **options)

    def __repr__(self) -> str:
        scheduler = self._chat._conductor.scheduler
        return f"<{type(self).__name__} of {scheduler or 'the configured scheduler'}>"

    async def process(self, context: Any, call_next: Next) -> None:
        of_client = dict(context.client_kwargs or {})
        given = of_client.get("middleware") or []
        others = given if isinstance(given, list | tuple) else [given]
        of_client["middleware"] = [*others, self._chat._named(context.agent.name or None)]
        context.client_kwargs = of_client
        await call_next()
