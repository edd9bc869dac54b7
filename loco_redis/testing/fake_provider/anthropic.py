"""Answers in Anthropic's form: messages, counted tokens, models, errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loco_redis.testing.fake_provider.answer import Answer, named, pieces
from loco_redis.testing.fake_provider.billed import Billed, prompt_tokens
from loco_redis.testing.fake_provider.reply import Reply

Body = Mapping[str, Any]

_MODELS = ("claude-opus-4-1", "claude-sonnet-4-5", "claude-haiku-4-5")
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def message(body: Body, reply: Reply, number: int) -> Answer:
    """To `POST /v1/messages`."""
    billed = reply.billed or Billed.of(body, reply.text)
    if body.get("stream"):
        return Answer.of_events(map(named, events(reply.text, billed, number)), billed)
    content = [{"type": "text", "text": reply.text}]
    return Answer.of_json(_message(billed, number, content, "end_turn", usage_of(billed)), billed)


def token_count(body: Body, reply: Reply, number: int) -> Answer:
    """To `POST /v1/messages/count_tokens`."""
    return Answer.of_json({"input_tokens": prompt_tokens(body)})


def models() -> Answer:
    """To `GET /v1/models`."""
    rows = [
        {
            "type": "model",
            "id": name,
            "display_name": name,
            "created_at": "2026-01-01T00:00:00Z",
            "lifecycle": "active",
        }
        for name in _MODELS
    ]
    return Answer.of_json(
        {"data": rows, "has_more": False, "first_id": _MODELS[0], "last_id": _MODELS[-1]}
    )


def error(status: int, text: str, number: int) -> Answer:
    about = {"type": _ERRORS.get(status, "api_error"), "message": text}
    return Answer.of_error(
        status, {"type": "error", "error": about, "request_id": f"req_{number:06}"}
    )


def usage_of(billed: Billed) -> dict[str, Any]:
    """What was read from a cache or written to one is not in `input_tokens`."""
    return {
        "input_tokens": billed.input_tokens,
        "cache_read_input_tokens": billed.cache_read_tokens,
        "cache_creation_input_tokens": billed.cache_write_tokens,
        "output_tokens": billed.output_tokens,
        "output_tokens_details": {"thinking_tokens": billed.reasoning_tokens},
    }


def _message(
    billed: Billed,
    number: int,
    content: list[dict[str, Any]],
    stop_reason: str | None,
    usage: dict[str, Any],
) -> dict[str, Any]:
    return {
        "id": f"msg_{number:06}",
        "type": "message",
        "role": "assistant",
        "model": billed.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": usage,
    }


def events(text: str, billed: Billed, number: int) -> Iterator[dict[str, Any]]:
    """The input is told at the start; the output, cumulative, at the end."""
    whole = usage_of(billed)
    first = {**whole, "output_tokens": 1}
    del first["output_tokens_details"]
    yield {"type": "message_start", "message": _message(billed, number, [], None, first)}
    yield {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    }
    yield {"type": "ping"}
    for piece in pieces(text):
        delta = {"type": "text_delta", "text": piece}
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": whole}
    yield {"type": "message_stop"}
