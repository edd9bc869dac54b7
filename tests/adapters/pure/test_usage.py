"""Tokens are counted once, whatever the provider's way of counting."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loco_redis.adapters.usage import MOST_TOKENS, Usage

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)
_NAMES = st.sampled_from([
    "input_tokens", "output_tokens", "total_tokens", "prompt_tokens", "completion_tokens",
    "cached_tokens", "cache_write_tokens", "reasoning_tokens", "thinking_tokens",
    "cache_read_input_tokens", "cache_creation_input_tokens",
])  # fmt: skip
_DETAILS = st.sampled_from([
    "input_tokens_details", "prompt_tokens_details", "output_tokens_details",
    "completion_tokens_details",
])  # fmt: skip
_NUMBERS = st.dictionaries(_NAMES, _JSON | st.integers(0, 1000))
_RAW = st.builds(
    lambda flat, nested: {**flat, **nested}, _NUMBERS, st.dictionaries(_DETAILS, _NUMBERS | _JSON)
)


def test_anthropic_leaves_the_cache_out_of_the_input() -> None:
    """So the three parts of the prompt are as they are reported."""
    usage = Usage.of_anthropic(
        {
            "input_tokens": 10,
            "cache_read_input_tokens": 200,
            "cache_creation_input_tokens": 30,
            "output_tokens": 4,
            "output_tokens_details": {"thinking_tokens": 3},
        }
    )
    assert usage == Usage(10, 200, 30, 4, 3)
    assert (usage.prompt_tokens, usage.total_tokens) == (240, 244)


@pytest.mark.parametrize("names", [("prompt", "completion"), ("input", "output")])
def test_openai_includes_the_cache_in_the_input(names: tuple[str, str]) -> None:
    """Chat completions and responses have other names for the same."""
    prompt, output = names
    usage = Usage.of_openai(
        {
            f"{prompt}_tokens": 240,
            f"{prompt}_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 30},
            f"{output}_tokens": 14,
            f"{output}_tokens_details": {"reasoning_tokens": 8},
            "total_tokens": 254,
        }
    )
    assert usage == Usage(10, 200, 30, 14, 8)
    assert (usage.prompt_tokens, usage.total_tokens) == (240, 254)


def test_embeddings_have_no_output() -> None:
    assert Usage.of_openai({"prompt_tokens": 8, "total_tokens": 8}) == Usage(input_tokens=8)


def test_reasoning_that_only_the_total_counts_is_output() -> None:
    """As xAI and Gemini report it."""
    raw = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115}
    raw["completion_tokens_details"] = {"reasoning_tokens": 100}  # type: ignore[assignment]
    assert Usage.of_openai(raw) == Usage(input_tokens=10, output_tokens=105, reasoning_tokens=100)


@pytest.mark.parametrize("reported", [None, -5, "7", True, [], {}, float("nan")])
def test_what_is_no_number_of_tokens_is_0(reported: object) -> None:
    assert Usage.of_anthropic({"input_tokens": reported}) == Usage()
    assert Usage.of_openai({"prompt_tokens": reported, "completion_tokens": None}) == Usage()


@pytest.mark.parametrize("reported", [10**400, float("inf")])
def test_absurd_numbers_are_cut(reported: float) -> None:
    """So that sums and prices can be computed with them."""
    assert Usage.of_anthropic({"output_tokens": reported}).total_tokens == MOST_TOKENS


@given(_RAW)
def test_parts_are_never_more_than_their_whole(raw: dict[str, object]) -> None:
    """Whatever JSON is reported: ints from 0, and reasoning is a part of the output."""
    for usage in (Usage.of_anthropic(raw), Usage.of_openai(raw)):
        for field in fields(usage):
            value = getattr(usage, field.name)
            assert type(value) is int
            assert 0 <= value <= MOST_TOKENS
        assert usage.reasoning_tokens <= usage.output_tokens
    read = Usage.of_openai(raw)
    known = raw.get("prompt_tokens", raw.get("input_tokens"))
    if type(known) is int and 0 <= known <= MOST_TOKENS:
        assert read.prompt_tokens == known
