"""A model of PydanticAI whose requests wait for slots."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from loco_redis._extras import need
from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.model_call import ModelCall
from loco_redis.adapters.usage import Usage, count

_wrapper = need("pydantic_ai.models.wrapper", "pydantic-ai")
_settings = need("pydantic_ai.settings", "pydantic-ai")
_run_context = need("pydantic_ai._run_context", "pydantic-ai")  # there is no public way to it
_WrapperModel: Any = _wrapper.WrapperModel

_MEDIA = {"type": "base64"}  # counts as one image or the like


class ScheduledModel(_WrapperModel):
    """Made by `PydanticAIAdapter.model`. Counting tokens and batches take no slot."""

    def __init__(self, wrapped: Any, conductor: Conductor) -> None:
        super().__init__(wrapped)
        self._conductor = conductor
        cheaper = conductor.options.fallback_of(self.model_name)
        self._cheaper = None if cheaper is None else _like(self.wrapped, cheaper)

    async def request(
        self, messages: Any, model_settings: Any, model_request_parameters: Any
    ) -> Any:
        asked = messages, model_settings, model_request_parameters
        call, model = self._call(*asked, _run_context.get_current_run_context())
        return await self._conductor.ask(call, lambda: model().request(*asked), _reader(call))

    @asynccontextmanager
    async def request_stream(
        self,
        messages: Any,
        model_settings: Any,
        model_request_parameters: Any,
        run_context: Any = None,
    ) -> AsyncIterator[Any]:
        asked = messages, model_settings, model_request_parameters
        run_context = run_context or _run_context.get_current_run_context()
        call, model = self._call(*asked, run_context)
        async with self._conductor.within(
            call, lambda: model().request_stream(*asked, run_context), _read_stream
        ) as response:
            yield response

    async def compact_messages(self, request_context: Any, **more: Any) -> Any:
        context = request_context
        asked = context.messages, context.model_settings, context.model_request_parameters
        call, model = self._call(*asked, _run_context.get_current_run_context())
        return await self._conductor.ask(
            call, lambda: model().compact_messages(context, **more), _reader(call)
        )

    def _call(
        self, messages: Any, settings: Any, parameters: Any, run_context: Any
    ) -> tuple[ModelCall, Callable[[], Any]]:
        """The call, and what says which model it goes to."""
        settings = _settings.merge_model_settings(self.settings, settings) or {}
        turned: list[str] = []
        call = self._conductor.call(
            self.model_name,
            [*_prompt(messages), *_tools(parameters)],
            settings.get("max_tokens"),
            agent_id=getattr(getattr(run_context, "agent", None), "name", None) or None,
            use=turned.append if self._cheaper is not None else None,
        )
        return call, lambda: self._cheaper if turned else self.wrapped


def _like(model: Any, name: str) -> Any:
    """A model of the same kind and provider by another name."""
    try:
        return type(model)(name, provider=model.provider, settings=model.settings)
    except Exception as error:
        raise ValueError(
            f"fallback_models name {name!r} for {model.model_name!r}, but no {type(model).__name__}"
            " can be made of it: schedule the model itself, not what wraps it"
        ) from error


def _prompt(messages: Any) -> Iterator[Any]:
    """What the model reads: texts, and what tools have been asked and returned."""
    for message in messages:
        yield getattr(message, "instructions", None)
        for part in message.parts:
            content = getattr(part, "content", None)
            for piece in content if isinstance(content, list | tuple) else (content,):
                yield _MEDIA if getattr(piece, "kind", "cache-point") != "cache-point" else piece
            yield getattr(part, "args", None)


def _tools(parameters: Any) -> Iterator[Any]:
    for tool in (*parameters.function_tools, *parameters.output_tools):
        yield [tool.name, tool.description, tool.parameters_json_schema]


def _reader(call: ModelCall) -> Any:
    def used(response: Any) -> Usage | None:
        _seen(call, response)
        return _usage(response.usage)

    return used


def _read_stream(call: ModelCall, response: Any) -> None:
    """What has come of a stream by now."""
    so_far = response.get()
    _seen(call, so_far)
    call.used(_usage(so_far.usage))
    if so_far.state == "complete":
        call.ended()


def _seen(call: ModelCall, response: Any) -> None:
    for part in response.parts:
        for text in (getattr(part, "content", None), getattr(part, "args", None)):
            call.seen(text if isinstance(text, str) else None)


def _usage(usage: Any) -> Usage | None:
    """Here the input includes what was read from a cache and written to one."""
    prompt, output = count(usage.input_tokens), count(usage.output_tokens)
    if not prompt and not output:
        return None
    read = min(count(usage.cache_read_tokens), prompt)
    written = min(count(usage.cache_write_tokens), prompt - read)
    for_an_hour = getattr(usage, "cache_write_1h_tokens", 0)  # of later versions, like the next
    reasoning = getattr(usage, "output_reasoning_tokens", 0) or usage.details.get(
        "reasoning_tokens", 0
    )
    return Usage(
        input_tokens=prompt - read - written,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=min(count(reasoning), output),
        cache_write_1h_tokens=min(count(for_an_hour), written),
    )
