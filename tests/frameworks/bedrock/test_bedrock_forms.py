"""What is read out of requests and answers, in the forms of Bedrock and of its models."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loco_redis.adapters import Usage
from loco_redis.adapters._calls.call import CallOptions
from loco_redis.adapters._calls.model_call import ModelCall
from loco_redis.adapters.bedrock._requests import asked_in_body, asked_in_messages, name_of
from loco_redis.adapters.bedrock._usage import (
    Chunks,
    MessageEvents,
    usage_of_invocation,
    usage_of_message,
)
from loco_redis.adapters.weights import MEDIA_TOKENS, prompt_tokens_of, weight_of

ARN = "arn:aws:bedrock:us-east-1:123456789012:"


@pytest.mark.parametrize(
    ("model_id", "name", "weight"),
    [
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0",) * 2 + (1,),
        ("global.anthropic.claude-opus-4-1-20250805-v1:0",) * 2 + (5,),
        (f"{ARN}inference-profile/eu.amazon.nova-pro-v1:0", "eu.amazon.nova-pro-v1:0", 2),
        (
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-sonnet",
            "anthropic.claude-3-sonnet",
            2,
        ),
        (
            f"{ARN}custom-model/anthropic.claude-3-haiku-20240307-v1:0:200k/a1b2",
            "custom-model/anthropic.claude-3-haiku-20240307-v1:0:200k/a1b2",
            1,
        ),
        (f"{ARN}application-inference-profile/abc", "application-inference-profile/abc", 2),
        ("arn:aws-cn:broken", "arn:aws-cn:broken", 2),
    ],
)
def test_names(model_id: str, name: str, weight: float) -> None:
    """The name behind an id, which gives the weight and the price."""
    assert name_of(model_id) == name
    assert weight_of(name, 100) == weight


def test_prompts_of_messages() -> None:
    """Texts count by their length, media as one each, whatever their bytes."""
    image = {"image": {"format": "png", "source": {"bytes": b"x" * 10_000}}}
    page = {"document": {"name": "d", "source": {"text": "y" * 400}}}
    tool = {"toolResult": {"toolUseId": "1", "content": [image, {"text": "z" * 40}]}}
    asked = {
        "messages": [{"role": "user", "content": [{"text": "w" * 40}, image, page, tool]}],
        "system": [{"text": "s" * 40}],
        "inferenceConfig": {"maxTokens": 7},
    }
    prompt, limit = asked_in_messages(asked)
    tokens = prompt_tokens_of({"messages": prompt})
    assert 2 * MEDIA_TOKENS + 130 <= tokens <= 2 * MEDIA_TOKENS + 140
    assert limit == 7
    for odd in ({}, {"messages": 1, "system": {}}, {"messages": [1, {"content": [None]}]}):
        assert prompt_tokens_of({"messages": asked_in_messages(odd)[0]}) == 0


@pytest.mark.parametrize(
    ("body", "tokens", "limit"),
    [
        ({"max_tokens": 5, "messages": [{"role": "", "content": "w" * 40}]}, 10, 5),
        ({"inputText": "w" * 40, "textGenerationConfig": {"maxTokenCount": 6}}, 10, 6),
        ({"prompt": "w" * 40, "max_gen_len": 8}, 10, 8),
        ({"inputImage": "w" * 40_000}, MEDIA_TOKENS, 0),
        (
            {
                "inferenceConfig": {"maxTokens": 9},
                "messages": [{"content": [{"image": {"source": {"bytes": "w" * 40_000}}}]}],
            },
            MEDIA_TOKENS,
            9,
        ),
        (["w" * 40], 10, 0),
    ],
)
def test_prompts_of_bodies(body: Any, tokens: int, limit: int) -> None:
    """Each family's own fields."""
    for raw in (json.dumps(body), json.dumps(body).encode()):
        prompt, found = asked_in_body({"body": raw})
        assert (prompt_tokens_of({"messages": prompt}), found) == (tokens, limit)


@pytest.mark.parametrize("body", [None, object(), b"", b"{", b"\xff", "[" * 100_000])
def test_prompts_that_are_not_understood(body: Any) -> None:
    """They count as nothing; the SDK says what is wrong with them."""
    assert asked_in_body({"body": body}) == ("", 0)


def test_usage_of_messages() -> None:
    """Converse leaves the cache out of the input, and tells what is kept for an hour."""
    raw = {
        "inputTokens": 1,
        "outputTokens": 2,
        "cacheReadInputTokens": 3,
        "cacheWriteInputTokens": 4,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 3}, {"ttl": "5m", "inputTokens": 1}],
    }
    assert usage_of_message(raw) == Usage(1, 3, 4, 2, 0, 3)
    assert usage_of_message({"inputTokens": None, "cacheDetails": 1}) == Usage()


BODIES = [
    (
        {"usage": {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 3}},
        (1, 3, 0, 2),
    ),
    ({"usage": {"inputTokens": 1, "outputTokens": 2, "cacheReadInputTokenCount": 3}}, (1, 3, 0, 2)),
    ({"usage": {"prompt_tokens": 4, "completion_tokens": 2}}, (4, 0, 0, 2)),
    ({"generation": "a", "prompt_token_count": 4, "generation_token_count": 2}, (4, 0, 0, 2)),
    ({"inputTextTokenCount": 4, "results": [{"tokenCount": 1}, {"tokenCount": 1}]}, (4, 0, 0, 2)),
    ({"inputTextTokenCount": 4, "embedding": [0.1]}, (4, 0, 0, 0)),
]


@pytest.mark.parametrize(("body", "counts"), BODIES)
def test_usage_of_bodies(body: dict[str, Any], counts: tuple[int, ...]) -> None:
    """Nova, Anthropic, OpenAI's form, Llama, Titan."""
    assert usage_of_invocation({}, json.dumps(body).encode()) == Usage(*counts)


def test_usage_of_headers() -> None:
    """They count where the body says nothing; and are believed only if they are numbers."""
    name = "x-amzn-bedrock-{}-token-count"
    headers = {name.format("input"): "5", name.format("cache-read-input"): "6"}
    response = {"ResponseMetadata": {"HTTPHeaders": headers}}
    assert usage_of_invocation(response, b"{}") == Usage(5, 6, 0, 0)
    headers[name.format("input")] = "many"
    for body in (b"{}", b"[1]", b"\xff", b'{"usage": 1}', b""):
        assert usage_of_invocation(response, body) is None


def _call() -> ModelCall:
    return ModelCall(CallOptions.of(prices=lambda model, used: used.output_tokens), "b", "m", "")


def _chunk(**value: Any) -> dict[str, Any]:
    return {"chunk": {"bytes": json.dumps(value).encode()}}


METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 4, "outputTokenCount": 9}}


@pytest.mark.parametrize(
    ("chunks", "tokens"),
    [
        ([_chunk(generation="a" * 8), _chunk(generation="", **METRICS)], 13),
        ([_chunk(generation="a", prompt_token_count=9), _chunk(**METRICS)], 13),
        ([_chunk(outputText="a", inputTextTokenCount=4, totalOutputTextTokenCount=9)], 13),
        ([_chunk(contentBlockDelta={}), _chunk(metadata={"usage": {"inputTokens": 13}})], 13),
        ([_chunk(generation="a" * 8)], 2),
        ([{}, {"chunk": {}}, {"chunk": {"bytes": b"["}}, _chunk(generation="a" * 8)], 2),
    ],
)  # fmt: skip
def test_streams_of_families(chunks: list[dict[str, Any]], tokens: int) -> None:
    """The metrics of the last chunk, else what the chunks say, else the text that came."""
    call, reader = _call(), Chunks()
    for chunk in chunks:
        reader.read(call, chunk)
    call.ended()
    bill = call.bill()
    assert bill is not None
    assert bill[1] == tokens


def test_text_of_streams() -> None:
    """Reasoning and tool calls are text, too."""
    call, reader = _call(), MessageEvents()
    for delta in (
        {"text": "four"},
        {"toolUse": {"input": "four"}},
        {"reasoningContent": {"text": "four"}},
        {"reasoningContent": {"signature": "not text"}},
    ):
        reader.read(call, {"contentBlockDelta": {"delta": delta}})
    assert call.bill() == (3, 3)
