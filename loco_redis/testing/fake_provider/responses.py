"""Answers in the form of OpenAI's responses API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loco_redis.testing.fake_provider.answer import Answer, named, pieces
from loco_redis.testing.fake_provider.billed import Billed
from loco_redis.testing.fake_provider.reply import Reply

_CREATED = 1_767_225_600


def response(body: Mapping[str, Any], reply: Reply, number: int) -> Answer:
    """To `POST /v1/responses`."""
    billed = reply.billed or Billed.of(body, reply.text)
    if body.get("stream"):
        numbered = enumerate(_events(body, reply.text, billed, number))
        events = [named({**event, "sequence_number": at}) for at, event in numbered]
        return Answer.of_events(events, billed)
    return Answer.of_json(_completed(body, reply.text, billed, number), billed)


def usage_of(billed: Billed) -> dict[str, Any]:
    """What was read from a cache or written to one is part of `input_tokens`."""
    return {
        "input_tokens": billed.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": billed.cache_read_tokens,
            "cache_write_tokens": billed.cache_write_tokens,
        },
        "output_tokens": billed.output_tokens,
        "output_tokens_details": {"reasoning_tokens": billed.reasoning_tokens},
        "total_tokens": billed.total_tokens,
    }


def _response(body: Mapping[str, Any], billed: Billed, number: int) -> dict[str, Any]:
    return {
        "id": f"resp_{number:06}",
        "object": "response",
        "created_at": _CREATED,
        "status": "in_progress",
        "model": billed.model,
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": body.get("tools") or [],
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "metadata": {},
        "usage": None,
    }


def _completed(body: Mapping[str, Any], text: str, billed: Billed, number: int) -> dict[str, Any]:
    return {
        **_response(body, billed, number),
        "status": "completed",
        "output": [_item(text, number)],
        "usage": usage_of(billed),
    }


def _item(text: str, number: int) -> dict[str, Any]:
    return {
        "id": f"msg_{number:06}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [_part(text)],
    }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _events(
    body: Mapping[str, Any], text: str, billed: Billed, number: int
) -> Iterator[dict[str, Any]]:
    item = _item(text, number)
    where = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    begun = _response(body, billed, number)
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    empty = {**item, "status": "in_progress", "content": []}
    yield {"type": "response.output_item.added", "output_index": 0, "item": empty}
    yield {"type": "response.content_part.added", **where, "part": _part("")}
    for piece in pieces(text):
        yield {"type": "response.output_text.delta", **where, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **where, "text": text, "logprobs": []}
    yield {"type": "response.content_part.done", **where, "part": _part(text)}
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    yield {"type": "response.completed", "response": _completed(body, text, billed, number)}
