"""Answers in the form of Google's Gemini API: generated content, whole or as events, errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from loco_redis.testing.fake_provider.answer import Answer, data, pieces
from loco_redis.testing.fake_provider.billed import Billed
from loco_redis.testing.fake_provider.reply import Reply

Body = Mapping[str, Any]

_CHARACTERS_PER_TOKEN = 4
_ERRORS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


def content(body: Body, reply: Reply, number: int) -> Answer:
    """To `POST /v1beta/models/{model}:generateContent`; `body` has the path's `model`, too."""
    billed = _billed(body, reply)
    return Answer.of_json(_response(billed, number, reply.text, usage_of(billed), "STOP"), billed)


def stream(body: Body, reply: Reply, number: int) -> Answer:
    """To `POST /v1beta/models/{model}:streamGenerateContent?alt=sse`."""
    billed = _billed(body, reply)
    return Answer.of_events(map(data, _events(billed, number, reply.text)), billed)


def error(status: int, text: str, number: int) -> Answer:
    about = {"code": status, "message": text, "status": _ERRORS.get(status, "INTERNAL")}
    return Answer.of_error(status, {"error": about})


def usage_of(billed: Billed) -> dict[str, Any]:
    """What was read from a cache is part of `promptTokenCount`; thoughts are not part of
    `candidatesTokenCount`."""
    return {
        "promptTokenCount": billed.prompt_tokens,
        "cachedContentTokenCount": billed.cache_read_tokens,
        "candidatesTokenCount": billed.output_tokens - billed.reasoning_tokens,
        "thoughtsTokenCount": billed.reasoning_tokens,
        "totalTokenCount": billed.total_tokens,
    }


def _billed(body: Body, reply: Reply) -> Billed:
    """This API does not tell what was written to a cache: it is input as any other."""
    billed = reply.billed or Billed.of(body, reply.text)
    written = billed.cache_write_tokens
    return replace(billed, input_tokens=billed.input_tokens + written, cache_write_tokens=0)


def _response(
    billed: Billed, number: int, text: str, usage: Mapping[str, Any], finish: str | None
) -> dict[str, Any]:
    candidate: dict[str, Any] = {
        "content": {"role": "model", "parts": [{"text": text}]},
        "index": 0,
    }
    if finish is not None:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": billed.model,
        "responseId": f"gemini_{number:06}",
    }


def _events(billed: Billed, number: int, text: str) -> Iterator[dict[str, Any]]:
    """Each tells what has been used so far; thoughts are told at the end."""
    whole, parts, seen = usage_of(billed), pieces(text) or [""], 0
    for part in parts[:-1]:
        seen += len(part)
        so_far = replace(
            billed,
            output_tokens=min(seen // _CHARACTERS_PER_TOKEN, billed.output_tokens),
            reasoning_tokens=0,
        )
        yield _response(billed, number, part, usage_of(so_far), None)
    yield _response(billed, number, parts[-1], whole, "STOP")
