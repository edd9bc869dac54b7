"""What is read of ADK's requests and responses."""

from __future__ import annotations

from typing import Any

import pytest
from google.adk.models import LlmRequest, LlmResponse
from google.genai import types

from loco_redis.adapters.adk._wording import agent_of, limit_of, prompt_of, text_of, usage_of
from loco_redis.adapters.usage import Usage
from loco_redis.adapters.weights import MEDIA_TOKENS, prompt_tokens_of
from tests.frameworks.adk.runs import content


def usage(**counts: Any) -> Usage | None:
    told = types.GenerateContentResponseUsageMetadata(**counts)
    return usage_of(LlmResponse(usage_metadata=told))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        pytest.param(
            {"prompt": 100, "candidates": 20, "cached_content": 30, "thoughts": 5, "total": 125},
            Usage(70, 30, 0, 25, 5),
            id="gemini: thoughts beside the candidates",
        ),
        pytest.param(
            {"prompt": 100, "candidates": 20, "cached_content": 30, "thoughts": 5, "total": 120},
            Usage(70, 30, 0, 20, 5),
            id="litellm: thoughts among the candidates",
        ),
        pytest.param(
            {"prompt": 100, "candidates": 20, "thoughts": 5}, Usage(100, 0, 0, 25, 5), id="no sum"
        ),
        pytest.param(
            {"prompt": 100, "tool_use_prompt": 50, "candidates": 20, "total": 170},
            Usage(150, 0, 0, 20, 0),
            id="results of the provider's own tools are input",
        ),
        pytest.param({"prompt": 100}, Usage(100), id="at a stream's beginning"),
        pytest.param({"prompt": 10, "cached_content": 30}, Usage(0, 10), id="more than all cached"),
        pytest.param({}, Usage(), id="nothing"),
    ],
)
def test_usage(counts: dict[str, int], expected: Usage) -> None:
    assert usage(**{f"{name}_token_count": number for name, number in counts.items()}) == expected


def test_what_was_written_to_a_cache() -> None:
    """ADK hangs it on the object for Anthropic's models."""
    told = types.GenerateContentResponseUsageMetadata(
        prompt_token_count=100, candidates_token_count=20, total_token_count=120
    )
    object.__setattr__(told, "cache_creation_input_tokens", 40)
    assert usage_of(LlmResponse(usage_metadata=told)) == Usage(60, 0, 40, 20)


def test_a_response_that_says_nothing() -> None:
    assert usage_of(LlmResponse()) is None
    assert text_of(LlmResponse()) == ""


def test_text() -> None:
    call = types.Part(function_call=types.FunctionCall(name="f", args={"word": "abc"}))
    thought = types.Part(text="Hm. ", thought=True)
    said = text_of(LlmResponse(content=content(thought, types.Part(text="Yes."), call)))
    assert said.startswith("Hm. Yes.")
    assert "abc" in said


def test_prompt() -> None:
    """Texts of every kind count; an image as an image, whatever its size."""
    declaration = types.FunctionDeclaration(name="find", description="d" * 400)
    result = types.FunctionResponse(name="find", response={"found": "r" * 400})
    image = types.Part(inline_data=types.Blob(data=b"x" * 10**5, mime_type="image/png"))
    request = LlmRequest(
        contents=[
            content(types.Part(text="t" * 400), role="user"),
            content(types.Part(function_response=result), image, role="user"),
        ],
        config=types.GenerateContentConfig(
            system_instruction="s" * 400,
            tools=[types.Tool(function_declarations=[declaration])],
        ),
    )
    tokens = prompt_tokens_of({"messages": prompt_of(request)})
    assert MEDIA_TOKENS + 400 <= tokens <= MEDIA_TOKENS + 420


@pytest.mark.parametrize(
    "instruction",
    [types.Content(parts=[types.Part(text="s" * 400)]), ["s" * 400], [types.Part(text="s" * 400)]],
)
def test_instructions_of_any_form(instruction: Any) -> None:
    config = types.GenerateContentConfig(system_instruction=instruction)
    request = LlmRequest(contents=[], config=config)
    assert 100 <= prompt_tokens_of({"messages": prompt_of(request)}) <= 110


def test_agent_and_limit() -> None:
    config = types.GenerateContentConfig(max_output_tokens=7, labels={"adk_agent_name": "writer"})
    request = LlmRequest(contents=[], config=config)
    assert (agent_of(request), limit_of(request)) == ("writer", 7)
    assert (agent_of(LlmRequest()), limit_of(LlmRequest())) == (None, None)
