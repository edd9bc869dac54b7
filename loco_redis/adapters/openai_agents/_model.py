"""A model of the OpenAI Agents SDK whose requests wait for slots."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any

from loco_redis._extras import need
from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.model_call import ModelCall
from loco_redis.adapters._calls.scheduled import Scheduled
from loco_redis.adapters._calls.streams import AsyncStream
from loco_redis.adapters.usage import Usage
from loco_redis.errors import LocoRedisError

_agents = need("agents", "openai-agents")
_retry = need("agents.retry", "openai-agents")
_Base: Any = _agents.Model

_TOTALS = ("input_tokens", "output_tokens", "total_tokens")
_DETAILS = ("input_tokens_details", "output_tokens_details")

#: Makes the model of this name.
Named = Callable[[str], Any]


class ScheduledModel(Scheduled, _Base):
    """Waits for a slot for each request. What else it is asked for is the inner model's.

    Args:
        cheaper: makes the model to which a request over its budget is turned; None: there is none.
    """

    def __init__(self, inner: Any, conductor: Conductor, cheaper: Named | None) -> None:
        self._inner, self._conductor, self._cheaper = inner, conductor, cheaper

    async def close(self) -> None:
        await self._inner.close()

    async def _cleanup_on_run_end(self, owner: object) -> None:
        await self._inner._cleanup_on_run_end(owner)

    def get_retry_advice(self, request: Any) -> Any:
        if isinstance(request.error, LocoRedisError):  # a refusal is no failure of the network
            aborted = _retry.ModelRetryNormalizedError(is_abort=True)
            return _retry.ModelRetryAdvice(suggested=False, normalized=aborted)
        return self._inner.get_retry_advice(request)

    async def get_response(
        self, system_instructions: Any, input: Any, model_settings: Any, *args: Any, **more: Any
    ) -> Any:
        call, model = self._call(system_instructions, input, model_settings)
        asked = system_instructions, input, model_settings, *args

        def used(response: Any) -> Usage | None:
            for item in response.output:
                call.seen(_text(item))
            return _usage(response.usage)

        return await self._conductor.ask(call, lambda: model().get_response(*asked, **more), used)

    def stream_response(
        self, system_instructions: Any, input: Any, model_settings: Any, *args: Any, **more: Any
    ) -> AsyncStream[Any]:
        call, model = self._call(system_instructions, input, model_settings)
        if model_settings.include_usage is None:  # chat completions do not tell unless asked
            model_settings = dataclasses.replace(model_settings, include_usage=True)
        asked = system_instructions, input, model_settings, *args

        def open() -> AsyncIterator[Any]:
            stream: AsyncIterator[Any] = model().stream_response(*asked, **more)
            return stream

        return self._conductor.stream(call, open, _read)

    def _call(
        self, instructions: Any, input: Any, settings: Any
    ) -> tuple[ModelCall, Callable[[], Any]]:
        """The call, and what makes the model that it goes to."""
        name = getattr(self._inner, "model", None)
        turned: list[str] = []
        call = self._conductor.call(
            name if isinstance(name, str) else "",
            [instructions, input],
            settings.max_tokens,
            agent_id=_agent_name(),
            use=turned.append if self._cheaper is not None else None,
        )
        return call, lambda: self._cheaper(turned[0]) if self._cheaper and turned else self._inner


def _agent_name() -> str | None:
    """A model is not told which agent it works for; the span around it knows. There is one also
    where tracing is off."""
    data = getattr(_agents.get_current_span(), "span_data", None)
    name = getattr(data, "agent_name", None)
    if name is None and isinstance(data, _agents.AgentSpanData):
        name = data.name
    return name if isinstance(name, str) and name else None


def copies(model: Any) -> Named | None:
    """Makes copies of it by other names, with the same client. None: it keeps a connection of its
    own, or its name is not known."""
    if not isinstance(getattr(model, "model", None), str):
        return None
    if isinstance(model, _agents.OpenAIResponsesWSModel):
        return None
    return partial(_named, model)


def _named(model: Any, name: str) -> Any:
    named = copy.copy(model)
    named.model = name
    return named


def _text(item: Any) -> str:
    """What the model has written: a message's text, or the arguments of a function."""
    parts = [getattr(part, "text", "") for part in getattr(item, "content", None) or ()]
    return "".join([*filter(None, parts), getattr(item, "arguments", None) or ""])


def _read(call: ModelCall, event: Any) -> None:
    delta = getattr(event, "delta", None)
    if isinstance(delta, str):
        call.seen(delta)
    if (response := getattr(event, "response", None)) is not None:
        call.used(_usage(response.usage))
    if event.type == "response.completed":  # a reader may stop here
        call.ended()


def _usage(usage: Any) -> Usage | None:
    """Of the SDK's Usage, or of a response of OpenAI's: they name things alike. Zeros mean that the
    provider does not tell."""
    if usage is None or not usage.total_tokens:
        return None
    details = {name: _fields(getattr(usage, name, None)) for name in _DETAILS}
    return Usage.of_openai({name: getattr(usage, name, 0) for name in _TOTALS} | details)


def _fields(details: Any) -> Mapping[str, Any]:
    return details.model_dump() if details is not None else {}
