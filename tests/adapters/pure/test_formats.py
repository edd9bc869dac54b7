"""The wire formats: which requests are LLM calls, what they ask for, what answers report."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loco_redis.adapters._calls.formats import FORMATS, USUAL_OUTPUT_TOKENS, Format, format_of
from loco_redis.adapters.usage import Usage

_BY_NAME = {wire.name: wire for wire in FORMATS}
_ANTHROPIC, _CHAT = _BY_NAME["anthropic"], _BY_NAME["openai_chat"]
_RESPONSES, _EMBEDDINGS = _BY_NAME["openai_responses"], _BY_NAME["openai_embeddings"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/messages", "anthropic"),
        ("/proxy/anthropic/v1/messages/", "anthropic"),
        ("/v1/chat/completions", "openai_chat"),
        ("/v1/completions", "openai_chat"),
        ("/openai/deployments/my-gpt/chat/completions", "openai_chat"),
        ("/api/v1/responses", "openai_responses"),
        ("/v1/embeddings", "openai_embeddings"),
        ("/openai/deployments/x/embeddings", "openai_embeddings"),
    ],
)
def test_paths_of_llm_calls(path: str, name: str) -> None:
    wire = format_of(path)
    assert wire is not None
    assert wire.name == name


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1/messages/count_tokens",
        "/v1/messages/batches",
        "/v1/threads/thread_1/messages",
        "/v1/chat/completions/chatcmpl-1",
        "/v1/responses/resp_1",
        "/v1/responses/resp_1/cancel",
        "/v1/responses/input_tokens",
        "/v1/models",
        "/v1/batches",
    ],
)
def test_paths_of_other_calls(path: str) -> None:
    """They make no model work, or later."""
    assert format_of(path) is None


@pytest.mark.parametrize(
    ("wire", "body", "tokens"),
    [
        (_ANTHROPIC, {"max_tokens": 300}, 300),
        (_CHAT, {"max_tokens": 300}, 300),
        (_CHAT, {"max_tokens": 300, "max_completion_tokens": 200}, 200),
        (_CHAT, {"max_tokens": 300, "n": 3}, 900),
        (_CHAT, {"n": 2}, 2 * USUAL_OUTPUT_TOKENS),
        (_CHAT, {"max_tokens": None, "n": None}, USUAL_OUTPUT_TOKENS),
        (_CHAT, {"max_tokens": 10**30, "n": 10**30}, 10**8),
        (_RESPONSES, {"max_output_tokens": 300}, 300),
        (_RESPONSES, {"max_tokens": "many"}, USUAL_OUTPUT_TOKENS),
        (_EMBEDDINGS, {"max_tokens": 300}, 0),
    ],
)
def test_max_output_tokens(wire: Format, body: dict[str, Any], tokens: int) -> None:
    assert wire.max_output_tokens(body) == tokens


@pytest.mark.parametrize("options", [{}, {"stream_options": None}])
def test_chat_streams_are_asked_for_their_usage(options: dict[str, Any]) -> None:
    body = {"model": "gpt-5", "stream": True, **options}
    before = dict(body)
    assert _CHAT.asking_usage(body) == {**body, "stream_options": {"include_usage": True}}
    assert body == before


def test_other_stream_options_stay() -> None:
    body = {"stream": True, "stream_options": {"include_obfuscation": False, "include_usage": None}}
    asking = _CHAT.asking_usage(body)
    assert asking is not None
    assert asking["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert body["stream_options"]["include_usage"] is None  # type: ignore[index]


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        (_CHAT, {}),
        (_CHAT, {"stream": False}),
        (_CHAT, {"stream": True, "stream_options": {"include_usage": True}}),
        (_CHAT, {"stream": True, "stream_options": "what the provider will refuse"}),
        (_ANTHROPIC, {"stream": True}),
        (_RESPONSES, {"stream": True}),
        (_EMBEDDINGS, {}),
    ],
)
def test_who_need_not_be_asked(wire: Format, body: dict[str, Any]) -> None:
    assert wire.asking_usage(body) is None


def test_usage_of_complete_answers() -> None:
    assert _ANTHROPIC.usage_of(
        {"type": "message", "usage": {"input_tokens": 3, "cache_read_input_tokens": 2}}
    ) == Usage(3, 2)
    for wire, names in ((_CHAT, ("prompt", "completion")), (_RESPONSES, ("input", "output"))):
        usage = {f"{names[0]}_tokens": 3, f"{names[1]}_tokens": 4}
        assert wire.usage_of({"usage": usage}) == Usage(input_tokens=3, output_tokens=4)
    assert _EMBEDDINGS.usage_of({"data": [], "usage": {"prompt_tokens": 3}}) == Usage(3)


@pytest.mark.parametrize("answer", [{}, {"usage": None}, {"usage": 3}, {"type": "error"}])
def test_answers_that_report_nothing(answer: dict[str, Any]) -> None:
    assert [wire.usage_of(answer) for wire in FORMATS] == [None] * 4


_KEYS = st.sampled_from([
    "type", "usage", "choices", "delta", "message", "response", "text", "content", "tool_calls",
    "function", "finish_reason", "stop_reason", "arguments", "refusal", "input_tokens",
    "prompt_tokens", "input_tokens_details", "n", "stream", "max_tokens", "stream_options",
])  # fmt: skip
_VALUES = st.sampled_from([
    "message_start", "message_delta", "message_stop", "content_block_delta", "response.completed",
    "response.failed", "response.output_text.delta", "response.in_progress",
])  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | _VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
)
_OBJECTS = st.dictionaries(_KEYS, _VALUES | _JSON, max_size=6)


@given(st.lists(_OBJECTS, max_size=5))
def test_no_json_is_too_odd(events: list[dict[str, Any]]) -> None:
    """Nothing raises, and characters and limits are never negative."""
    for wire in FORMATS:
        stream = wire.stream()
        for event in events:
            stream.feed(event)
            wire.usage_of(event)
            wire.asking_usage(event)
            wire.hides(event)
            assert 0 <= wire.max_output_tokens(event) <= 10**8
        assert stream.characters >= 0
