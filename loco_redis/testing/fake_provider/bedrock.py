"""Answers in the forms of AWS Bedrock: Converse, and models invoked in their own forms; whole, or
as event streams.

Models of Anthropic answer an `invoke` in Anthropic's form. All others answer it by a text alone:
what they used is in the headers, or in a stream's last chunk.

Event streams: https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from loco_redis.testing.fake_provider import anthropic
from loco_redis.testing.fake_provider.answer import Answer, pieces
from loco_redis.testing.fake_provider.billed import Billed
from loco_redis.testing.fake_provider.reply import Reply

Body = Mapping[str, Any]

EVENT_STREAM = "application/vnd.amazon.eventstream"

_PATH = re.compile(r"/model/([^/]+)/([a-z-]+)")
_STRING = 7  # a header's type
_ERRORS = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}
_LATENCY = {"latencyMs": 1}


def answers(path: str) -> bool:
    """Whether a request to this path, without its query, is one of Bedrock's."""
    return path.startswith("/model/")


def answer_to(path: str, body: Body, reply: Reply, number: int) -> Answer:
    """To `POST /model/{id}/{verb}`; the id is percent-encoded."""
    if reply.failed:
        return error(reply.status, f"scripted: {reply.status}")
    found = _PATH.fullmatch(path)
    verb = _VERBS.get(found[2]) if found else None
    if found is None or verb is None:
        return error(404, f"the fake provider has no POST {path}")
    return verb({**body, "model": unquote(found[1])}, reply, number)


def error(status: int, text: str) -> Answer:
    kind = _ERRORS.get(status, "InternalServerException")
    whole = Answer.of_error(status, {"message": text})
    return replace(whole, headers=(("x-amzn-errortype", kind),))


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """A message of an event stream, its headers all strings."""
    named = b"".join(map(_header, headers.items()))
    prelude = struct.pack(">II", 16 + len(named) + len(payload), len(named))
    checked = prelude + struct.pack(">I", zlib.crc32(prelude)) + named + payload
    return checked + struct.pack(">I", zlib.crc32(checked))


def event(name: str, value: Body) -> bytes:
    headers = {":event-type": name, ":message-type": "event"}
    return frame({**headers, ":content-type": "application/json"}, json.dumps(value).encode())


def exception(name: str, text: str) -> bytes:
    """An error that ends a stream."""
    headers = {":exception-type": name, ":message-type": "exception"}
    payload = json.dumps({"message": text}).encode()
    return frame({**headers, ":content-type": "application/json"}, payload)


def usage_of(billed: Billed) -> dict[str, int]:
    """What was read from a cache or written to one is not in `inputTokens`."""
    return {
        "inputTokens": billed.input_tokens,
        "outputTokens": billed.output_tokens,
        "totalTokens": billed.total_tokens,
        "cacheReadInputTokens": billed.cache_read_tokens,
        "cacheWriteInputTokens": billed.cache_write_tokens,
    }


def _header(pair: tuple[str, str]) -> bytes:
    name, value = (text.encode() for text in pair)
    return struct.pack(f">B{len(name)}sBH", len(name), name, _STRING, len(value)) + value


def _converse(body: Body, reply: Reply, number: int) -> Answer:
    billed = _billed(body, reply)
    said = {"message": {"role": "assistant", "content": [{"text": reply.text}]}}
    whole = {"output": said, "stopReason": "end_turn", "metrics": _LATENCY}
    return Answer.of_json({**whole, "usage": usage_of(billed)}, billed)


def _converse_stream(body: Body, reply: Reply, number: int) -> Answer:
    billed = _billed(body, reply)
    return _streamed((event(*told) for told in _converse_events(reply.text, billed)), billed, reply)


def _converse_events(text: str, billed: Billed) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "messageStart", {"role": "assistant"}
    for piece in pieces(text):
        yield "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}}
    yield "contentBlockStop", {"contentBlockIndex": 0}
    yield "messageStop", {"stopReason": "end_turn"}
    yield "metadata", {"usage": usage_of(billed), "metrics": _LATENCY}


def _invoke(body: Body, reply: Reply, number: int) -> Answer:
    if _is_anthropic(body):
        whole = anthropic.message({**body, "stream": False}, reply, number)
    else:
        whole = Answer.of_json({"generation": reply.text}, _billed(body, reply))
    assert whole.billed is not None
    counts = (
        ("input", whole.billed.input_tokens),
        ("output", whole.billed.output_tokens),
        ("cache-read-input", whole.billed.cache_read_tokens),
        ("cache-write-input", whole.billed.cache_write_tokens),
    )
    headers = tuple((f"x-amzn-bedrock-{kind}-token-count", str(count)) for kind, count in counts)
    return replace(whole, headers=headers)


def _invoke_stream(body: Body, reply: Reply, number: int) -> Answer:
    if _is_anthropic(body):
        billed = reply.billed or Billed.of(body, reply.text)
        told = list(anthropic.events(reply.text, billed, number))
    else:
        billed = _billed(body, reply)
        told = [{"generation": piece} for piece in pieces(reply.text)]
    told[-1]["amazon-bedrock-invocationMetrics"] = {
        "inputTokenCount": billed.input_tokens,
        "outputTokenCount": billed.output_tokens,
        "cacheReadInputTokenCount": billed.cache_read_tokens,
        "cacheWriteInputTokenCount": billed.cache_write_tokens,
        "invocationLatency": 1,
        "firstByteLatency": 1,
    }
    return _streamed(map(_chunk, told), billed, reply)


def _chunk(value: Body) -> bytes:
    return event("chunk", {"bytes": base64.b64encode(json.dumps(value).encode()).decode()})


def _streamed(events: Iterable[bytes], billed: Billed, reply: Reply) -> Answer:
    whole = Answer.of_events(events, billed)
    if reply.stream_error:
        broken = exception(reply.stream_error, f"scripted: {reply.stream_error}")
        whole = Answer.of_events((*whole.parts[: len(whole.parts) // 2], broken), None)
    return replace(whole, content_type=EVENT_STREAM)


def _is_anthropic(body: Body) -> bool:
    return "anthropic" in body["model"]


def _billed(body: Body, reply: Reply) -> Billed:
    """These APIs do not tell how much of the output was reasoning."""
    return replace(reply.billed or Billed.of(body, reply.text), reasoning_tokens=0)


_VERBS: dict[str, Callable[[Body, Reply, int], Answer]] = {
    "converse": _converse,
    "converse-stream": _converse_stream,
    "invoke": _invoke,
    "invoke-with-response-stream": _invoke_stream,
}
