"""What a call weighs, and how long its prompt is."""

from __future__ import annotations

import base64
import json
import logging
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loco_redis.adapters.weights import (
    LONG,
    MEDIA_TOKENS,
    cost_in_weights,
    prompt_tokens_of,
    weight_of,
)

_PIXELS = base64.b64encode(bytes(300_000)).decode()
_DATA_URL = f"data:image/png;base64,{_PIXELS}"


@pytest.mark.parametrize(
    ("model", "weight"),
    [
        ("claude-opus-4-1", 5),
        ("claude-opus-4-1@20250805", 5),  # Vertex
        ("claude-3-opus-latest", 5),
        ("opus", 5),
        ("claude-sonnet-4-20250514", 2),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", 2),  # Bedrock
        ("us-gov.anthropic.claude-3-haiku-20240307-v1:0", 1),
        ("anthropic/claude-3.5-haiku", 1),  # OpenRouter
        ("claude-instant-1.2", 2),
        ("gpt-5", 3),
        ("gpt-5-nano", 1),
        ("gpt-5-mini-2025-08-07", 1),
        ("gpt-5-pro", 5),
        ("openai/gpt-4o-mini", 1),
        ("ft:gpt-4o-mini-2024-07-18:acme::x", 1),
        ("gpt-4o", 3),
        ("gpt-4.1", 3),
        ("gpt-4", 5),
        ("gpt-4-turbo-2024-04-09", 5),
        ("gpt-3.5-turbo", 1),
        ("gpt-35-turbo", 1),  # Azure
        ("o1", 5),
        ("o1-mini", 1),
        ("o3", 3),
        ("o3-mini", 1),
        ("o3-pro", 5),
        ("o4-mini-2025-04-16", 1),
        ("models/gemini-2.5-flash-lite", 1),
        ("gemini-2.5-pro", 3),
        ("text-embedding-3-large", 1),
        ("amazon.titan-embed-text-v2:0", 1),
        ("eu.amazon.nova-pro-v1:0", 2),
        ("amazon.nova-micro-v1:0", 1),
        ("meta.llama3-1-70b-instruct-v1:0", 1),
        ("meta-llama/Llama-3.3-70B-Instruct", 1),
        ("deepseek-chat", 1),
        ("mistral-large-latest", 2),
    ],
)
def test_families(model: str, weight: float) -> None:
    """The family with the most words in the name decides, however a vendor decorates it."""
    assert weight_of(model, 100) == weight


def test_long_calls_weigh_half_as_much_again() -> None:
    assert (weight_of("claude-sonnet-4", LONG), weight_of("claude-sonnet-4", LONG + 1)) == (2, 3)


def test_costs_without_prices_are_thousands_of_haiku_tokens() -> None:
    assert cost_in_weights("claude-haiku-4-5", 1000) == 1
    assert cost_in_weights("claude-opus-4-1", 500) == 2.5
    assert cost_in_weights("text-embedding-3-small", 1000) == 0.1


def test_unknown_models_are_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """And weigh 2."""
    assert [weight_of(name, 1) for name in ("zork-7", "zork-7", "zork-8")] == [2, 2, 2]
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "'zork-7'" in caplog.text


@given(st.text(), st.integers(0, 10**8))
def test_any_name_has_a_weight(name: str, tokens: int) -> None:
    assert weight_of(name, tokens) >= 1


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({}, 0),
        ({"model": "gpt-5", "max_tokens": 100_000, "stream": True}, 0),
        ({"input": "x" * 4001}, 1001),
        ({"input": ["x" * 40] * 10}, 100),
        ({"input": [1, 2, 3]}, 3),
        ({"input": [[1, 2, 3], [4]]}, 4),
        ({"system": "x" * 400, "messages": [{"role": "", "content": "x" * 400}]}, 200),
        ({"instructions": "x" * 400, "prompt": "x" * 400}, 200),
        ({"tools": [{"name": "x" * 4, "input_schema": {"x" * 400: {}}}]}, 105),
    ],
)
def test_texts_count_a_token_for_4_characters(body: dict[str, Any], tokens: int) -> None:
    assert prompt_tokens_of(body) == tokens


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "source": {"type": "base64", "media_type": "a/b", "data": _PIXELS}},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/x.png"}},
        {"type": "document", "source": {"type": "base64", "data": _PIXELS}},
        {"type": "image_url", "image_url": {"url": _DATA_URL}},
        {"type": "input_image", "image_url": _DATA_URL},
        {"type": "input_audio", "input_audio": {"data": _PIXELS, "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": _DATA_URL}},
        {"type": "input_file", "file_data": _PIXELS},
        {"file_data": _PIXELS},
        {"url": _DATA_URL},
    ],
)
def test_media_count_a_flat_number(block: dict[str, Any]) -> None:
    """Not their length, which says nothing about tokens; also inside of a tool's result."""
    for content in ([block], [{"content": [block]}]):
        assert prompt_tokens_of({"messages": [{"content": content}]}) == MEDIA_TOKENS


def test_documents_made_of_text_count_as_text() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "x" * 40_000}
    body = {"messages": [{"content": [{"type": "document", "source": source}]}]}
    assert prompt_tokens_of(body) == pytest.approx(10_000, abs=10)


def test_prompt_tokens_of_any_depth_and_length() -> None:
    """No recursion, and no look at each character."""
    deep: Any = "x" * 4
    for _ in range(100_000):
        deep = [{"content": deep}]
    assert prompt_tokens_of({"messages": deep}) == 1
    long = {"messages": [{"content": "x" * 10**7}], "input": list(range(10**6))}
    started = time.process_time()
    assert prompt_tokens_of(long) == 3_500_000
    assert time.process_time() - started < 0.05


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "source", "data", "file", "x"]), inner)
    ),
)


@given(st.dictionaries(st.sampled_from(["messages", "tools", "input"]), _JSON))
def test_prompt_tokens_of_any_json(body: dict[str, Any]) -> None:
    """A number, and hardly more than the JSON is long."""
    media = json.dumps(body).count('"data"') + json.dumps(body).count('"type"')
    media += json.dumps(body).count('"file"')
    assert 0 <= prompt_tokens_of(body) <= len(json.dumps(body)) + MEDIA_TOKENS * media
