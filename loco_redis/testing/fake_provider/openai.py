"""Answers in OpenAI's form: chat completions, embeddings, models, errors."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from loco_redis.testing.fake_provider.answer import Answer, data, pieces
from loco_redis.testing.fake_provider.billed import Billed, prompt_tokens
from loco_redis.testing.fake_provider.reply import Reply

Body = Mapping[str, Any]

_MODELS = ("gpt-5", "gpt-5-nano", "text-embedding-3-small")
_CREATED = 1_767_225_600
_DIMENSIONS = 8
_DONE = b"data: [DONE]\n\n"


def completion(body: Body, reply: Reply, number: int) -> Answer:
    """To `POST /v1/chat/completions`."""
    billed = reply.billed or Billed.of(body, reply.text)
    if not body.get("stream"):
        said = {"role": "assistant", "content": reply.text, "refusal": None}
        choice = {"index": 0, "finish_reason": "stop", "logprobs": None, "message": said}
        whole = {**_head("chat.completion", billed, number), "choices": [choice]}
        return Answer.of_json({**whole, "usage": usage_of(billed)}, billed)
    asked = bool((body.get("stream_options") or {}).get("include_usage"))
    events = [*map(data, _chunks(reply.text, billed, number, asked)), _DONE]
    return Answer.of_events(events, billed if asked else None)


def embeddings(body: Body, reply: Reply, number: int) -> Answer:
    """To `POST /v1/embeddings`; only the prompt is billed."""
    given = body.get("input", "")
    # A text, a list of tokens, or a list of either.
    several = isinstance(given, list) and not (given and isinstance(given[0], int))
    inputs = given if several else [given]
    size = int(body.get("dimensions") or _DIMENSIONS)
    encoded = body.get("encoding_format") == "base64"
    rows = []
    for index, one in enumerate(inputs):
        vector = _vector(json.dumps(one), size)
        packed = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode()
        shown = packed if encoded else vector
        rows.append({"object": "embedding", "index": index, "embedding": shown})
    billed = reply.billed or Billed(str(body.get("model", "")), prompt_tokens(body), 0, 0, 0, 0)
    used = {"prompt_tokens": billed.prompt_tokens, "total_tokens": billed.total_tokens}
    return Answer.of_json(
        {"object": "list", "data": rows, "model": billed.model, "usage": used}, billed
    )


def models() -> Answer:
    """To `GET /v1/models`."""
    rows = [
        {"id": name, "object": "model", "created": _CREATED, "owned_by": "fake"} for name in _MODELS
    ]
    return Answer.of_json({"object": "list", "data": rows})


def error(status: int, text: str, number: int) -> Answer:
    kind = "rate_limit_exceeded" if status == 429 else "server_error"
    about = {"message": text, "type": kind, "param": None, "code": None}
    return Answer.of_error(status, {"error": about})


def usage_of(billed: Billed) -> dict[str, Any]:
    """What was read from a cache or written to one is part of `prompt_tokens`."""
    return {
        "prompt_tokens": billed.prompt_tokens,
        "completion_tokens": billed.output_tokens,
        "total_tokens": billed.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": billed.cache_read_tokens,
            "cache_write_tokens": billed.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": billed.reasoning_tokens},
    }


def _head(kind: str, billed: Billed, number: int) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{number:06}",
        "object": kind,
        "created": _CREATED,
        "model": billed.model,
    }


def _chunks(text: str, billed: Billed, number: int, asked: bool) -> Iterator[dict[str, Any]]:
    """Who asked for usage gets `"usage": null` in each chunk, and a last one without choices."""
    head = _head("chat.completion.chunk", billed, number) | ({"usage": None} if asked else {})
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": piece}, None) for piece in pieces(text)]
    deltas.append(({}, "stop"))
    for delta, finish in deltas:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        yield {**head, "choices": [choice]}
    if asked:
        yield {**head, "choices": [], "usage": usage_of(billed)}


def _vector(text: str, size: int) -> list[float]:
    """Numbers from -1 to 1 that a 32-bit float holds exactly, so both encodings give the same."""
    seed = hashlib.shake_256(text.encode()).digest(size)
    return [byte / 128 - 1 for byte in seed]
