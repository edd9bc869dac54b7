"""What a call is billed: made up, but always the same for the same request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

_CHARACTERS_PER_TOKEN = 4
_LEAST_PROMPT = 40
_ASKED = ("system", "instructions", "messages", "input", "tools", "contents")


@dataclass(frozen=True, slots=True)
class Billed:
    """Tokens of one call; each counted once, whatever the provider's own way of saying it is.

    Attributes:
        input_tokens: of the prompt, neither read from a cache nor written to one.
        output_tokens: those of reasoning included.
    """

    model: str
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int

    @classmethod
    def of(cls, body: Mapping[str, Any], text: str) -> Self:
        """For the answer `text` to a request: every kind of token is in it."""
        prompt = prompt_tokens(body)
        cache_read, cache_write = prompt // 4, prompt // 8
        reasoning = 3 + prompt % 5
        return cls(
            model=str(body.get("model", "")),
            input_tokens=prompt - cache_read - cache_write,
            cache_read_tokens=cache_read,
            cache_write_tokens=cache_write,
            output_tokens=1 + len(text) // _CHARACTERS_PER_TOKEN + reasoning,
            reasoning_tokens=reasoning,
        )

    @property
    def prompt_tokens(self) -> int:
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.output_tokens


def prompt_tokens(body: Mapping[str, Any]) -> int:
    """By the length of what was asked, at least 40."""
    asked = [body[name] for name in _ASKED if name in body]
    return _LEAST_PROMPT + len(json.dumps(asked)) // _CHARACTERS_PER_TOKEN
