"""What ADK's requests ask for, and what its responses say. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loco_redis.adapters._calls.model_call import ModelCall
from loco_redis.adapters.usage import Usage, count

_AGENT_LABEL = "adk_agent_name"  # ADK's own, on every request of an agent
_MEDIA = {"type": "file", "file_data": ""}


def agent_of(request: Any) -> str | None:
    """The name of the ADK agent that asks; None: nobody's request."""
    labels = getattr(request.config, "labels", None) or {}
    return labels.get(_AGENT_LABEL) or None


def limit_of(request: Any) -> int | None:
    """The most tokens that the answer may have; None: not limited."""
    return getattr(request.config, "max_output_tokens", None)


def prompt_of(request: Any) -> list[object]:
    """What the model reads: texts, dicts and lists of them."""
    config, asked = request.config, list[object]()
    instruction = getattr(config, "system_instruction", None)
    if instruction is not None:
        asked.append(_dumped(instruction))
    for content in request.contents or ():
        for part in content.parts or ():
            asked.append(_dumped(part))
            if part.inline_data is not None or part.file_data is not None:
                asked.append(_MEDIA)
    for tool in getattr(config, "tools", None) or ():
        asked += map(_dumped, getattr(tool, "function_declarations", None) or ())
    return asked


class Reading:
    """Tells a call what its responses say, one after the other."""

    def __init__(self) -> None:
        self._in_parts = False

    def __call__(self, call: ModelCall, response: Any) -> None:
        """What is whole repeats what came in parts."""
        self._in_parts |= bool(response.partial)
        if response.partial or not self._in_parts:
            call.seen(text_of(response))
        call.used(usage_of(response))


def text_of(response: Any) -> str:
    """All that the model has written: text, thoughts, arguments of calls."""
    return "".join(_texts(response.content))


def usage_of(response: Any) -> Usage | None:
    """What has been used so far. The prompt includes the cache; of thoughts some models say that
    they are part of the candidates, and some do not: the sum tells which."""
    told = response.usage_metadata
    if told is None:
        return None

    def tokens(name: str) -> int:
        return count(getattr(told, name, None))

    prompt = tokens("prompt_token_count") + tokens("tool_use_prompt_token_count")
    read = min(tokens("cached_content_token_count"), prompt)
    written = min(tokens("cache_creation_input_tokens"), prompt - read)
    answer, thoughts, total = map(
        tokens, ("candidates_token_count", "thoughts_token_count", "total_token_count")
    )
    output = answer + thoughts
    if total:
        output = min(output, max(answer, thoughts, total - prompt))
    return Usage(
        input_tokens=prompt - read - written,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=min(thoughts, output),
    )


def _texts(content: Any) -> Iterator[str]:
    for part in (content.parts if content is not None else None) or ():
        yield part.text or ""
        if part.function_call is not None:
            yield str(part.function_call.args or "")


def _dumped(value: Any) -> object:
    """A part, a content, a declaration, or a list of them. Bytes stay, and do not count."""
    if hasattr(value, "model_dump"):
        return value.model_dump(exclude_none=True)
    return [_dumped(item) for item in value] if isinstance(value, list) else value
