"""The tokens that a call has used, counted once, whatever its provider's way of counting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Of an average token, as providers tell for English.
CHARACTERS_PER_TOKEN = 4

#: More tokens than any model takes: a number beyond it is a mistake, and counts as this many.
MOST_TOKENS = 10**8


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, no token in two of the first four fields.

    Attributes:
        input_tokens: of the prompt, neither read from a cache nor written to one.
        cache_read_tokens: of the prompt, read from the provider's cache.
        cache_write_tokens: of the prompt, written to the provider's cache.
        output_tokens: of the answer, reasoning included.
        reasoning_tokens: the part of `output_tokens` that was reasoning.
        cache_write_1h_tokens: the part of `cache_write_tokens` to be kept for an hour, which costs
            more.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_1h_tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.output_tokens

    @classmethod
    def of_anthropic(cls, raw: Mapping[str, Any]) -> Usage:
        """Of the `usage` of a message: there `input_tokens` leaves the cache out.

        Source: https://docs.anthropic.com/en/api/messages (usage). What is missing is 0.
        """
        output = count(raw.get("output_tokens"))
        details = mapping(raw.get("output_tokens_details"))
        written = count(raw.get("cache_creation_input_tokens"))
        for_an_hour = mapping(raw.get("cache_creation")).get("ephemeral_1h_input_tokens")
        return cls(
            input_tokens=count(raw.get("input_tokens")),
            cache_read_tokens=count(raw.get("cache_read_input_tokens")),
            cache_write_tokens=written,
            output_tokens=output,
            reasoning_tokens=min(count(details.get("thinking_tokens")), output),
            cache_write_1h_tokens=min(count(for_an_hour), written),
        )

    @classmethod
    def of_openai(cls, raw: Mapping[str, Any]) -> Usage:
        """Of the `usage` of a chat completion (`prompt_tokens`, `completion_tokens`), a response
        (`input_tokens`, `output_tokens`) or embeddings: there the input includes the cache.

        Source: https://platform.openai.com/docs/api-reference. What is missing is 0. Providers that
        leave the reasoning out of the output (xAI, Gemini) still have it in `total_tokens`.
        """
        kind = "prompt", "completion"
        if "prompt_tokens" not in raw and "input_tokens" in raw:
            kind = "input", "output"
        prompt, output = (count(raw.get(f"{name}_tokens")) for name in kind)
        if prompt and output:
            output = max(output, count(raw.get("total_tokens")) - prompt)
        inputs, outputs = (mapping(raw.get(f"{name}_tokens_details")) for name in kind)
        read = min(count(inputs.get("cached_tokens")), prompt)
        written = min(count(inputs.get("cache_write_tokens")), prompt - read)
        return cls(
            input_tokens=prompt - read - written,
            cache_read_tokens=read,
            cache_write_tokens=written,
            output_tokens=output,
            reasoning_tokens=min(count(outputs.get("reasoning_tokens")), output),
        )


def count(value: object) -> int:
    """A number of tokens out of JSON: 0 for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    # NaN fails the comparison.
    return int(min(value, MOST_TOKENS)) if value > 0 else 0


def mapping(value: object) -> Mapping[str, Any]:
    """An object out of JSON: empty for what is none."""
    return value if isinstance(value, dict) else {}
