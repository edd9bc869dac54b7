"""What an answer of AWS Bedrock says that it has used, in the forms of its API and of its models.

Nothing here raises on any JSON: what is not understood counts as not said. No I/O.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from loco_redis.adapters._calls.formats import AnthropicStream
from loco_redis.adapters._calls.model_call import ModelCall
from loco_redis.adapters.usage import Usage, count, mapping

_METRICS = "amazon-bedrock-invocationMetrics"
_HEADER = "x-amzn-bedrock-{}-token-count"

# Under these keys are the texts of answers, whatever the model: its words, its reasoning, the
# arguments of its tool calls.
_TEXTS = frozenset({
    "text", "input", "thinking", "partial_json", "content", "reasoning", "reasoning_content",
    "refusal", "arguments", "generation", "outputText", "completion",
})  # fmt: skip


def usage_of_message(raw: Mapping[str, Any]) -> Usage:
    """Of a Converse answer's `usage`: there `inputTokens` leaves the cache out.

    Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html.
    The names that end in Count are those of Nova's own bodies.
    """
    written = _first(raw, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    details = raw.get("cacheDetails")
    parts = map(mapping, details if isinstance(details, list) else ())
    for_an_hour = sum(count(part.get("inputTokens")) for part in parts if part.get("ttl") == "1h")
    return Usage(
        input_tokens=count(raw.get("inputTokens")),
        cache_read_tokens=_first(raw, "cacheReadInputTokens", "cacheReadInputTokenCount"),
        cache_write_tokens=written,
        output_tokens=count(raw.get("outputTokens")),
        cache_write_1h_tokens=min(for_an_hour, written),
    )


def usage_of_answer(response: Mapping[str, Any]) -> Usage | None:
    """Of the whole answer of Converse."""
    usage = response.get("usage")
    return usage_of_message(usage) if isinstance(usage, dict) else None


def usage_of_invocation(response: Mapping[str, Any], body: bytes) -> Usage | None:
    """Of an invoked model: as its body says it, which knows most, else as the headers do."""
    parsed = _parsed(body)
    said = _usage_in(parsed) if parsed is not None else None
    headers = mapping(mapping(response.get("ResponseMetadata")).get("HTTPHeaders"))
    return said or _usage_in_headers(headers)


class MessageEvents:
    """Reads the events of a Converse stream; the last one has the usage."""

    def read(self, call: ModelCall, event: Mapping[str, Any]) -> None:
        for text in _texts(mapping(event.get("contentBlockDelta"))):
            call.seen(text)
        usage = mapping(event.get("metadata")).get("usage")
        if isinstance(usage, dict):
            call.used(usage_of_message(usage))


class Chunks:
    """Reads the stream of an invoked model, whose chunks have the model's own form. Bedrock adds
    its metrics to the last one."""

    def __init__(self) -> None:
        self._anthropic = AnthropicStream()

    def read(self, call: ModelCall, event: Mapping[str, Any]) -> None:
        chunk = _parsed(mapping(event.get("chunk")).get("bytes"))
        if chunk is None:
            return
        metrics = chunk.pop(_METRICS, None)
        for text in _texts(chunk):
            call.seen(text)
        self._anthropic.feed(chunk)
        of_all = _usage_in_metrics(metrics) if isinstance(metrics, dict) else None
        call.used(self._anthropic.usage or of_all or _usage_in(chunk))


def _usage_in(body: Mapping[str, Any]) -> Usage | None:
    """As the families of models say it: Nova, Anthropic, those in OpenAI's form, Llama, Titan."""
    usage = mapping(body.get("usage")) or mapping(mapping(body.get("metadata")).get("usage"))
    if "inputTokens" in usage:
        return usage_of_message(usage)
    if "input_tokens" in usage:
        return Usage.of_anthropic(usage)
    if "prompt_tokens" in usage:
        return Usage.of_openai(usage)
    if "prompt_token_count" in body and "generation_token_count" in body:
        output = count(body.get("generation_token_count"))
        return Usage(input_tokens=count(body.get("prompt_token_count")), output_tokens=output)
    if "inputTextTokenCount" in body:
        results = body.get("results")
        parts = map(mapping, results if isinstance(results, list) else ())
        output = count(body.get("totalOutputTextTokenCount"))
        output = output or sum(count(part.get("tokenCount")) for part in parts)
        return Usage(input_tokens=count(body.get("inputTextTokenCount")), output_tokens=output)
    return None


def _usage_in_headers(headers: Mapping[str, Any]) -> Usage | None:
    kinds = ("input", "cache-read-input", "cache-write-input", "output")
    told = [headers.get(_HEADER.format(kind)) for kind in kinds]
    counts = [int(text) if isinstance(text, str) and text.isdecimal() else None for text in told]
    if counts[0] is None and counts[3] is None:
        return None
    return Usage(*map(count, counts))


def _usage_in_metrics(metrics: Mapping[str, Any]) -> Usage:
    return Usage(
        input_tokens=count(metrics.get("inputTokenCount")),
        cache_read_tokens=count(metrics.get("cacheReadInputTokenCount")),
        cache_write_tokens=count(metrics.get("cacheWriteInputTokenCount")),
        output_tokens=count(metrics.get("outputTokenCount")),
    )


def _texts(event: Mapping[str, Any]) -> Iterator[str]:
    rest: list[Any] = [event]
    while rest:  # a list of its own, as no recursion is safe on what comes from outside
        node = rest.pop()
        if isinstance(node, list):
            rest += node
        elif isinstance(node, dict):
            for key, value in node.items():
                if isinstance(value, str) and key in _TEXTS:
                    yield value
                elif isinstance(value, dict | list):
                    rest.append(value)


def _first(raw: Mapping[str, Any], *names: str) -> int:
    return next((count(raw[name]) for name in names if name in raw), 0)


def _parsed(data: object) -> dict[str, Any] | None:
    if not isinstance(data, bytes | bytearray):
        return None
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
