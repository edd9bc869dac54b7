"""What a request of Microsoft Agent Framework asks for, and what has come of it. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.adapters._calls.model_call import ModelCall
from loco_redis.adapters.usage import Usage, count

_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_INPUT, _OUTPUT, _TOTAL = (f"{kind}_token_count" for kind in ("input", "output", "total"))
_READ, _WRITTEN = "cache_read_input_token_count", "cache_creation_input_token_count"
_REASONING = "reasoning_output_token_count"
_MEDIA = {"type": "base64"}  # as the count of tokens knows it


def call_of(conductor: Conductor, context: Any, name: str | None) -> ModelCall:
    """Of a ChatContext. `name`: of the framework's agent."""
    options: Mapping[str, Any] = context.options or {}
    model = options.get("model") or getattr(context.client, "model", None)
    named = isinstance(model, str) and bool(model)

    def use(cheaper: str) -> None:
        context.options = {**options, "model": cheaper}

    return _Call(
        conductor.options,
        conductor.framework,
        str(model) if named else "",
        list(_prompt(context.messages, options)),
        next((count(options[limit]) for limit in _LIMITS if options.get(limit)), None),
        agent_id=name,
        use=use if named else None,
    )


class _Call(ModelCall):
    """Attributes:
    reported: the largest figures so far: a stream may tell the input at its beginning, and the
        output, counted from there, at its end.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.reported: dict[str, int] = {}


def _prompt(messages: Iterable[Any], options: Mapping[str, Any]) -> Iterator[Any]:
    yield options.get("instructions") or ""
    for message in messages:
        for content in message.contents:
            if content.type == "uri" and not str(content.media_type).startswith("text/"):
                yield _MEDIA
            else:
                yield [_text(content), content.uri or "", _of_function(content)]
    for tool in options.get("tools") or ():
        yield tool if isinstance(tool, dict) else _described(tool)


def _text(content: Any) -> str:
    return content.text if isinstance(content.text, str) else ""


def _of_function(content: Any) -> list[Any]:
    """Its call or its result."""
    fields = (getattr(content, name, None) for name in ("name", "arguments", "result"))
    return [field if isinstance(field, str | dict) else str(field) for field in fields if field]


def _described(tool: Any) -> Any:
    describe = getattr(tool, "to_json_schema_spec", None)
    return describe() if describe is not None else ""


def usage_of(call: ModelCall, answer: Any) -> Usage | None:
    """Of a ChatResponse."""
    for message in answer.messages:
        _see(call, message.contents)
    return _usage(answer.usage_details or {})


def read(call: ModelCall, update: Any) -> None:
    """A ChatResponseUpdate."""
    assert isinstance(call, _Call)
    _see(call, update.contents)
    for content in update.contents:
        if content.type == "usage":
            for name, value in (content.usage_details or {}).items():
                call.reported[name] = max(call.reported.get(name, 0), count(value))
            call.used(_usage(call.reported))


def _see(call: ModelCall, contents: Iterable[Any]) -> None:
    for content in contents:
        if getattr(content, "merge_mode", None) == "replace":  # a stream's pieces, once more
            continue
        call.seen(_text(content))
        arguments = getattr(content, "arguments", None)
        if content.type == "function_call" and isinstance(arguments, str):
            call.seen(arguments)


def _usage(details: Mapping[str, Any]) -> Usage | None:
    """Of UsageDetails, whose input includes the cache with OpenAI. It leaves the cache out with
    Bedrock, as the total shows, and with Anthropic, which tells none. Zeros: it is not known."""
    prompt, output = count(details.get(_INPUT)), count(details.get(_OUTPUT))
    read, written = count(details.get(_READ)), count(details.get(_WRITTEN))
    if not prompt + output + read + written:
        return None
    total = details.get(_TOTAL)
    apart = total is None or count(total) >= prompt + output + read + written
    if not apart:
        read = min(read, prompt)
        written = min(written, prompt - read)
    return Usage(
        input_tokens=prompt if apart else prompt - read - written,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=min(count(details.get(_REASONING)), output),
    )
