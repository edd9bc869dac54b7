"""Google ADK: agents whose model's calls wait until their turn has come."""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any, Unpack

from loco_redis import _validate as validate
from loco_redis._extras import need
from loco_redis.adapters._calls.call import CallArguments
from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.model_call import ModelCall
from loco_redis.adapters._calls.schedulers import Given, async_scheduler
from loco_redis.adapters._calls.streams import AsyncStream
from loco_redis.adapters.adk._callbacks import Callbacks, let_go
from loco_redis.adapters.adk._wording import Reading, agent_of, limit_of, prompt_of

_models: Any = need("google.adk.models", "adk")
_plugins: Any = need("google.adk.plugins.base_plugin", "adk")


class ADKAdapter:
    """`Agent(model=ADKAdapter(scheduler).model("gemini-2.5-flash"), ...)` is an agent whose every
    call of its model waits until its turn has come.

    Who calls: the context, else `agent_id`, else the agent's own name in ADK.

    Args:
        scheduler: an AsyncLOCOScheduler, or None: the one that `loco_redis.configure` made.
        longest_call: seconds after which the callbacks give a slot back whatever happens; models
            need none.
        options: as in CallArguments.

    Raises:
        ValueError: any of them out of range.
    """

    def __init__(
        self,
        scheduler: Given = None,
        *,
        longest_call: float = 600.0,
        **options: Unpack[CallArguments],
    ) -> None:
        async_scheduler(scheduler)
        validate.seconds("longest_call", longest_call, 0, math.inf)
        self._conductor = Conductor("adk", scheduler, **options)
        self._callbacks = Callbacks(self._conductor, longest_call)

    def model(self, model: Any, agent_id: str | None = None) -> Any:
        """The scheduled model: a copy that shares what the given one has, of a subclass of its
        class, so that ADK treats it as it treats that one.

        It has its slot from the first response asked for to the last one, until it is closed or
        dropped. Live connections (`connect`) take none.

        Args:
            model: a BaseLlm, or a name that ADK knows.
            agent_id: who calls with it, where the context does not say it; None: the adapter's.

        Raises:
            ValueError: neither of them, or an agent id that is none.
        """
        if isinstance(model, str):
            model = _models.LLMRegistry.new_llm(model)
        if not isinstance(model, _models.BaseLlm):
            raise ValueError(f"model must be a BaseLlm or a name, got {validate.shown(model)}")
        conductor = self._conductor
        if agent_id is not None:
            options = conductor.options.arguments()
            options["agent_id"] = agent_id
            conductor = Conductor("adk", conductor.scheduler, **options)
        scheduled = copy.copy(model)
        object.__setattr__(scheduled, "__class__", _scheduled(type(model), conductor))
        return scheduled

    async def before_model_callback(self, callback_context: Any, llm_request: Any) -> None:
        """Take a slot for the call that follows. Raises what `acquire` raises."""
        agent = callback_context.agent_name
        await self._callbacks.begin(_call(self._conductor, llm_request, "", agent))

    async def after_model_callback(self, callback_context: Any, llm_response: Any) -> None:
        """Settle the call and give its slot back, if this is the whole answer."""
        await self._callbacks.tell(llm_response)

    async def on_model_error_callback(
        self, callback_context: Any, llm_request: Any, error: Exception
    ) -> None:
        """Give the slot back; a 429 holds the fleet."""
        await self._callbacks.fail(error)

    def plugin(self, name: str = "loco_redis") -> Any:
        """The three callbacks for all agents of a Runner or an App."""
        plugin = _plugins.BasePlugin(name)
        plugin.before_model_callback = self.before_model_callback
        plugin.after_model_callback = self.after_model_callback
        plugin.on_model_error_callback = self.on_model_error_callback
        return plugin


def _scheduled(kind: Any, conductor: Conductor) -> Any:
    """A class of models as `kind`, scheduled. The conductor is the class's, not a field, so that
    copies of a model share it."""

    class Scheduled(kind):
        def generate_content_async(self, llm_request: Any, stream: bool = False) -> Any:
            call = _call(conductor, llm_request, self.model, agent_of(llm_request))
            send = partial(super().generate_content_async, llm_request, stream)
            return _answers(conductor.stream(call, send, Reading()))

    Scheduled.__name__, Scheduled.__qualname__ = kind.__name__, kind.__qualname__
    Scheduled.__module__, Scheduled.__doc__ = kind.__module__, kind.__doc__
    return Scheduled


async def _answers(answers: AsyncStream[Any]) -> AsyncIterator[Any]:
    """As they come; but one that is whole only when it is known what follows. ADK runs tools, and
    agents that are tools, before it asks for more: at the end the slot must be free by then."""
    let_go(asyncio.current_task())  # callbacks have a slot for this very call
    whole: list[Any] = []
    async with aclosing(answers):
        try:
            async for answer in answers:
                if whole:
                    yield whole.pop()
                if answer.partial:
                    yield answer
                else:
                    whole.append(answer)
        except Exception:
            if whole:
                yield whole.pop()
            raise
        if whole:
            yield whole.pop()


def _call(conductor: Conductor, request: Any, model: str, agent: str | None) -> ModelCall:
    def use(cheaper: str) -> None:
        request.model = cheaper

    model = request.model or model
    limit, prompt = limit_of(request), prompt_of(request)
    return conductor.call(model, prompt, limit, agent_id=agent, use=use)
