"""What LangChain's objects say: who calls, what a call asks for, what it has used. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from loco_redis._extras import need
from loco_redis.adapters._calls.model_call import ModelCall
from loco_redis.adapters.usage import Usage, count, mapping

_config = need("langchain_core.runnables.config", "langchain")

#: What of a call's keyword arguments the model reads besides the messages.
_READ = ("tools", "functions", "response_format")

_CREATE_AGENT = "langchain_create_agent"


def agent_of_graph() -> str | None:
    """The agent of LangGraph in which this is run: the name of `create_agent`, else of the node.

    In each agent of `create_agent` the model's node is called "model", which tells nobody from
    anybody: without a name such an agent is called as the node that it is in a graph, if it is one.
    """
    metadata = mapping(_config.ensure_config().get("metadata"))
    name = metadata.get("lc_agent_name")
    if name is None:
        name = metadata.get("langgraph_node")
        if metadata.get("ls_integration") == _CREATE_AGENT:
            above = _text(metadata.get("langgraph_checkpoint_ns")).split("|")[:-1]
            name = above[-1].partition(":")[0] if above else None  # node:uuid|model:uuid
    return _text(name) or None


def prompt_of(messages: Sequence[Any], asked: Mapping[str, Any]) -> list[Any]:
    """What the model reads: `messages`, and what the call's keyword arguments bring."""
    prompt: list[Any] = [asked[name] for name in _READ if name in asked]
    for message in messages:
        prompt.append(message.content)
        prompt.append([call.get("args") for call in getattr(message, "tool_calls", None) or ()])
    return prompt


def usage_of(metadata: Mapping[str, Any] | None) -> Usage | None:
    """Of a message's `usage_metadata`, where the input includes the cache. OpenAI's tiers are part
    of the names (`priority_cache_read`); Anthropic's lifetimes stand instead of `cache_creation`.
    """
    if not metadata:
        return None
    inputs, outputs = (mapping(metadata.get(f"{way}_token_details")) for way in ("input", "output"))
    prompt, output = count(metadata.get("input_tokens")), count(metadata.get("output_tokens"))
    if prompt and output:  # some providers leave the reasoning out of the output
        output = max(output, count(metadata.get("total_tokens")) - prompt)
    for_an_hour = count(inputs.get("ephemeral_1h_input_tokens"))
    lasting = for_an_hour + count(inputs.get("ephemeral_5m_input_tokens"))
    read = min(_sum(inputs, "cache_read"), prompt)
    written = min(_sum(inputs, "cache_creation") or lasting, prompt - read)
    return Usage(
        input_tokens=prompt - read - written,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=min(_sum(outputs, "reasoning"), output),
        cache_write_1h_tokens=min(for_an_hour, written),
    )


def _sum(details: Mapping[str, Any], name: str) -> int:
    return sum(count(tokens) for key, tokens in details.items() if key.endswith(name))


def usage_of_result(call: ModelCall, result: Any) -> Usage | None:
    """Of a ChatResult; `call` is told its text, in case that it does not say. Of several answers to
    one question each tells the usage of them all."""
    messages = [generation.message for generation in result.generations]
    for message in messages:
        call.seen("".join(_texts(message)))
    found = (usage_of(getattr(message, "usage_metadata", None)) for message in messages)
    return next(filter(None, found), None)


class Sum:
    """Reads a stream's pieces: chunks, or events of the protocol. Chunks tell what each has used,
    to be added up."""

    def __init__(self) -> None:
        self._usage: Usage | None = None

    def read(self, call: ModelCall, chunk: Any) -> None:
        """A ChatGenerationChunk."""
        for text in _texts(chunk.message):
            call.seen(text)
        self._add(call, getattr(chunk.message, "usage_metadata", None))

    def read_event(self, call: ModelCall, event: Mapping[str, Any]) -> bool:
        """An event of `stream_events(version="v3")`; whether it is the last one."""
        delta = mapping(event.get("delta"))
        for name in ("text", "reasoning", "args"):
            call.seen(_text(delta.get(name)))
        self._add(call, event.get("usage"))
        return event.get("event") == "message-finish"

    def _add(self, call: ModelCall, metadata: Mapping[str, Any] | None) -> None:
        more = usage_of(metadata)
        if more is not None:
            before = self._usage or Usage()
            names = [field.name for field in fields(Usage)]
            self._usage = Usage(**{n: getattr(before, n) + getattr(more, n) for n in names})
            call.used(self._usage)


def _texts(message: Any) -> Iterator[str]:
    """The pieces of text of a message or chunk, arguments of tool calls included."""
    content = message.content
    if isinstance(content, str):
        yield content
    else:
        for block in content:
            if isinstance(block, str):
                yield block
            else:
                yield from (_text(block.get(name)) for name in ("text", "thinking", "reasoning"))
    for chunk in getattr(message, "tool_call_chunks", None) or ():
        yield _text(chunk.get("args"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
