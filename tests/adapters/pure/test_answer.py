"""Answers are read while they pass: the caller gets its bytes, and the usage is known."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loco_redis.adapters._calls import answer as of_answers
from loco_redis.adapters._calls.answer import Answer
from loco_redis.adapters._calls.formats import FORMATS, Format
from loco_redis.adapters.usage import Usage

_BY_NAME = {wire.name: wire for wire in FORMATS}
_ANTHROPIC, _CHAT = _BY_NAME["anthropic"], _BY_NAME["openai_chat"]
_RESPONSES = _BY_NAME["openai_responses"]
_SSE = "text/event-stream; charset=utf-8"


def _events(*events: dict[str, Any], end: str = "\n") -> list[bytes]:
    """As Anthropic and the responses API write them."""
    lines = [
        f"event: {event['type']}{end}data: {json.dumps(event, ensure_ascii=False)}{end}{end}"
        for event in events
    ]
    return [text.encode() for text in lines]


def _chunks(*events: dict[str, Any]) -> list[bytes]:
    """As chat completions write them."""
    return [b"data: %b\n\n" % json.dumps(event).encode() for event in events]


def _text(text: str) -> dict[str, Any]:
    delta = {"content": text}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}], "usage": None}


_MESSAGE = _events(
    {
        "type": "message_start",
        "message": {
            "usage": {
                "input_tokens": 10,
                "cache_read_input_tokens": 200,
                "cache_creation_input_tokens": 30,
                "output_tokens": 1,
            }
        },
    },
    {"type": "ping"},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hm " * 10}},
    {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "größer 🦊" * 5}},
    {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": '{"a"'}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 40, "output_tokens_details": {"thinking_tokens": 20}},
    },
    {"type": "message_stop"},
)
_FILTERED = _chunks({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]})
_USAGE_CHUNK = _chunks({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 12}})
_TOOL = {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]}
_COMPLETION = [
    *_FILTERED,
    *_chunks(_text("Hello"), _text(" world"), {"choices": [{"delta": _TOOL}]}),
    *_chunks({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": None}),
    b": a comment\n\n",
]
_DONE = [b"data: [DONE]\n\n"]
_RESPONSE = _events(
    {"type": "response.created", "response": {"usage": None}},
    {"type": "response.in_progress", "response": {"usage": None}},
    {"type": "response.reasoning_summary_text.delta", "delta": "x" * 10},
    {"type": "response.output_text.delta", "delta": "x" * 10},
    {"type": "response.function_call_arguments.delta", "delta": "x" * 10},
    {"type": "response.refusal.delta", "delta": "x" * 10},
    {"type": "response.audio.delta", "delta": "AAAA" * 1000},
    {
        "type": "response.completed",
        "response": {"usage": {"input_tokens": 9, "output_tokens": 12, "total_tokens": 21}},
    },
)


def _read(
    wire: Format, chunks: Iterable[bytes], *, flush: bool = True, **options: Any
) -> tuple[Usage | None, bytes]:
    """The usage, and what the caller was given."""
    answer = Answer(wire, _SSE, **options)
    passed = b"".join([answer.feed(chunk) for chunk in chunks])
    if flush:
        passed += answer.flush()
    return answer.usage, passed


def test_a_message_stream() -> None:
    """`message_start` has the input, `message_delta` the final output."""
    usage, passed = _read(_ANTHROPIC, _MESSAGE)
    assert usage == Usage(10, 200, 30, 40, 20)
    assert passed == b"".join(_MESSAGE)


def test_the_higher_of_two_reports_counts() -> None:
    """Sums grow, and a gateway may have put a 0 into either of them."""
    delta = {"stop_reason": "end_turn"}
    for first, last in (({"input_tokens": 0}, 7), ({"input_tokens": 7}, 0), ({}, 7)):
        stream = _events(
            {"type": "message_start", "message": {"usage": first}},
            {"type": "message_delta", "delta": delta, "usage": {"input_tokens": last}},
        )
        assert _read(_ANTHROPIC, stream)[0] == Usage(input_tokens=7)


def test_a_message_stream_that_is_closed_early() -> None:
    """The input is exact; of the output there is at least a token for each 4 characters."""
    usage, _ = _read(_ANTHROPIC, _MESSAGE[:6], flush=False, prompt_tokens=77)
    assert usage == Usage(10, 200, 30, output_tokens=-(-(30 + 40 + 4) // 4))
    usage, _ = _read(_ANTHROPIC, _MESSAGE[:1], flush=False)
    assert usage == Usage(10, 200, 30, output_tokens=1)


def test_a_chat_stream() -> None:
    usage, passed = _read(_CHAT, [*_COMPLETION, *_USAGE_CHUNK, *_DONE], prompt_tokens=77)
    assert usage == Usage(input_tokens=9, output_tokens=12)
    assert passed == b"".join([*_COMPLETION, *_USAGE_CHUNK, *_DONE])


def test_a_usage_chunk_that_nobody_asked_for_is_hidden() -> None:
    """Azure's chunk without choices stays, and so do comments."""
    usage, passed = _read(_CHAT, [*_COMPLETION, *_USAGE_CHUNK, *_DONE], hides_usage=True)
    assert usage == Usage(input_tokens=9, output_tokens=12)
    assert passed == b"".join([*_COMPLETION, *_DONE])


def test_whole_events_pass_without_delay() -> None:
    """Also where the usage is hidden."""
    answer = Answer(_CHAT, _SSE, hides_usage=True)
    for event in _COMPLETION:
        assert answer.feed(event) == event
    assert answer.feed(_USAGE_CHUNK[0] + _DONE[0]) == _DONE[0]


def test_usage_in_the_last_chunk_with_text() -> None:
    """As some providers have it: it is reported, and not hidden."""
    choice = {"delta": {"content": "x" * 400}, "finish_reason": "stop"}
    chunk = {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 12}}
    stream = [*_chunks(chunk), *_DONE]
    assert _read(_CHAT, stream, hides_usage=True) == (
        Usage(input_tokens=9, output_tokens=12),
        b"".join(stream),
    )


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x" * 41},
        {"refusal": "x" * 41},
        {"reasoning_content": "x" * 41},
        {"function_call": {"arguments": "x" * 41}},
        {"audio": {"data": "AAAA" * 1000, "transcript": "x" * 41}},
        {"tool_calls": [{"function": {"arguments": "x" * 40}}, {"custom": {"input": "x"}}]},
    ],
)
def test_a_chat_stream_that_is_closed_early(delta: dict[str, Any]) -> None:
    """Nothing was reported: the input is the estimate, the output by what has come."""
    usage, _ = _read(_CHAT, _chunks({"choices": [{"delta": delta}]}), prompt_tokens=77, flush=False)
    assert usage == Usage(input_tokens=77, output_tokens=11)


def test_a_chat_stream_of_a_provider_that_never_reports() -> None:
    usage, _ = _read(_CHAT, [*_COMPLETION, *_DONE], prompt_tokens=77)
    assert usage == Usage(input_tokens=77, output_tokens=-(-13 // 4))


def test_a_response_stream() -> None:
    usage, passed = _read(_RESPONSES, _RESPONSE, prompt_tokens=77)
    assert usage == Usage(input_tokens=9, output_tokens=12)
    assert passed == b"".join(_RESPONSE)
    usage, _ = _read(_RESPONSES, _RESPONSE[:-1], prompt_tokens=77)
    assert usage == Usage(input_tokens=77, output_tokens=10)


@pytest.mark.parametrize("kind", ["response.incomplete", "response.failed"])
def test_a_response_that_failed_on_its_way(kind: str) -> None:
    """It counts as reported; what failed before it had begun counts nothing."""
    last = {"type": kind, "response": {"usage": {"input_tokens": 9, "output_tokens": 1}}}
    usage, _ = _read(_RESPONSES, [*_RESPONSE[:-1], *_events(last)])
    assert usage == Usage(input_tokens=9, output_tokens=1)
    failed = {"type": "response.failed", "response": {"usage": None, "error": {"code": "x"}}}
    assert _read(_RESPONSES, [*_RESPONSE[:2], *_events(failed)])[0] == Usage()


@pytest.mark.parametrize(
    ("wire", "stream"),
    [
        (_ANTHROPIC, _events({"type": "error", "error": {"type": "overloaded_error"}})),
        (_CHAT, _chunks({"error": {"message": "no"}})),
        (_RESPONSES, _events({"type": "error", "message": "no"})),
        (_CHAT, [b""]),
        (_CHAT, [b"<html>"]),
        (_CHAT, _DONE),
    ],
)
def test_streams_that_say_nothing(wire: Format, stream: list[bytes]) -> None:
    """An error in place of an answer has used nothing."""
    assert _read(wire, stream, prompt_tokens=77, hides_usage=True) == (Usage(), b"".join(stream))


def test_a_stream_that_nobody_reads() -> None:
    """The model has worked on the prompt, at least."""
    assert Answer(_CHAT, _SSE, prompt_tokens=77).usage == Usage(input_tokens=77)


def test_json() -> None:
    """Known at its end."""
    answer = Answer(_ANTHROPIC, "application/json")
    body = json.dumps({"content": "ü", "usage": {"input_tokens": 3, "output_tokens": 4}}).encode()
    for byte in body:
        assert answer.usage is None
        assert answer.feed(bytes([byte])) == bytes([byte])
    assert answer.flush() == b""
    assert answer.usage == answer.usage == Usage(input_tokens=3, output_tokens=4)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"7", b'{"error": {}}', b"\xff", b"[" * 100_000, b"9" * 10_000]
)
@pytest.mark.parametrize("kind", ["application/json", "", "text/html"])
def test_bodies_that_say_nothing(body: bytes, kind: str) -> None:
    answer = Answer(_CHAT, kind, hides_usage=True)
    assert answer.feed(body) + answer.flush() == body
    assert answer.usage is None


def test_an_unknown_format_passes() -> None:
    answer = Answer(None, _SSE, hides_usage=True)
    assert answer.feed(_USAGE_CHUNK[0]) == _USAGE_CHUNK[0]
    assert answer.flush() == b""
    assert answer.usage is None


def test_data_may_have_several_lines_and_no_blank() -> None:
    """And any of the three line ends, as the standard says."""
    chunk = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 12}}
    lines = json.dumps(chunk, indent=1).splitlines()
    for end in ("\n", "\r\n", "\r"):
        body = f"id: 1{end}" + "".join(f"data:{line}{end}" for line in lines) + end
        whole = Usage(input_tokens=9, output_tokens=12)
        assert _read(_CHAT, [body.encode()]) == (whole, body.encode())
        assert _read(_CHAT, [body.encode()], hides_usage=True) == (whole, b"")


def test_a_last_event_without_its_blank_line() -> None:
    """It counts, and is handed on unless it is to be hidden."""
    begun = b"".join(_chunks(_text("Hello")))[:-2]
    assert _read(_CHAT, [begun], hides_usage=True) == (Usage(0, output_tokens=2), begun)
    cut = b"".join([*_COMPLETION, *_USAGE_CHUNK])[:-2]
    usage, passed = _read(_CHAT, [cut], hides_usage=True)
    assert (usage, passed) == (Usage(9, output_tokens=12), b"".join(_COMPLETION))


_STREAMS = [
    (_ANTHROPIC, b"".join(_MESSAGE)),
    (_ANTHROPIC, b"".join(_MESSAGE).replace(b"\n", b"\r\n")),
    (_ANTHROPIC, b"".join(_MESSAGE).replace(b"\n", b"\r")),
    (_CHAT, b"".join([*_COMPLETION, *_USAGE_CHUNK, *_DONE])),
    (_CHAT, b"".join([*_COMPLETION, *_USAGE_CHUNK, *_DONE]).replace(b"\n", b"\r\n")),
    (_RESPONSES, b"".join(_RESPONSE)),
]


def _cut(body: bytes, places: Iterable[int]) -> list[bytes]:
    ends = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(ends)]


@given(st.sampled_from(_STREAMS), st.booleans(), st.lists(st.integers(0, 10**6), max_size=40))
def test_chunks_may_be_cut_anywhere(
    stream: tuple[Format, bytes], hides: bool, places: list[int]
) -> None:
    """Within characters and line ends, too: the usage and the bytes are the same."""
    wire, body = stream
    expected = _read(wire, [body], hides_usage=hides)
    assert _read(wire, _cut(body, places), hides_usage=hides) == expected
    assert expected[0] is not None
    assert hides or expected[1] == body


@given(st.sampled_from(_STREAMS))
def test_one_byte_at_a_time(stream: tuple[Format, bytes]) -> None:
    wire, body = stream
    bytewise = [bytes([byte]) for byte in body]
    assert _read(wire, bytewise, hides_usage=True) == _read(wire, [body], hides_usage=True)


_GARBAGE = [b"\n", b"\r", b"\r\n", b"\n\n", b"data:", b"data: ", b": ", b"{}", b"\xff", b"x" * 30]
_PIECES = st.sampled_from([*_GARBAGE, *_MESSAGE, *_COMPLETION, *_USAGE_CHUNK, *_RESPONSE])


@given(
    st.sampled_from(FORMATS),
    st.lists(_PIECES | st.binary(max_size=9), max_size=20).map(b"".join),
    st.booleans(),
    st.lists(st.integers(0, 10**6), max_size=9),
    st.sampled_from([40, 100, 8 << 20]),
)
def test_garbage(wire: Format, body: bytes, hides: bool, places: list[int], limit: int) -> None:
    """Nothing raises; what is handed on is the body, or lacks whole usage chunks only. That holds
    as well where events are too long to be kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(of_answers, "_MOST_BYTES", limit)
        usage, passed = _read(wire, _cut(body, places), hides_usage=hides)
        assert (usage, passed) == _read(wire, [body], hides_usage=hides)
    if not hides or not any(chunk.strip() in body for chunk in _USAGE_CHUNK):
        assert passed == body
    if usage is not None:
        assert usage.total_tokens >= 0


@pytest.mark.parametrize("hides", [False, True])
def test_a_line_too_long_to_be_kept(hides: bool) -> None:
    """It passes, unread, without being held back as a whole; what follows is understood."""
    answer, megabyte = Answer(_CHAT, _SSE, hides_usage=hides), b"x" * (1 << 20)
    passed = [answer.feed(b"data: ")]
    for _ in range(20):
        passed.append(answer.feed(megabyte))
        assert answer._events is not None
        assert len(answer._events._line) <= 9 << 20
    assert sum(map(len, passed)) == (20 << 20) + 6
    assert answer.feed(b"\n\n" + _DONE[0]) == b"\n\n" + _DONE[0]
    assert answer.feed(_USAGE_CHUNK[0]) == (b"" if hides else _USAGE_CHUNK[0])
    assert answer.usage == Usage(input_tokens=9, output_tokens=12)


def test_an_event_takes_microseconds() -> None:
    """About 5; here a bound that a busy machine keeps."""
    answer, event = Answer(_CHAT, _SSE, hides_usage=True), _chunks(_text("Hello"))[0]
    started = time.process_time()
    for _ in range(5000):
        answer.feed(event)
    assert (time.process_time() - started) / 5000 < 100e-6
