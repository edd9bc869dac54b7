"""What a call weighs, by its model's name, and how long its prompt is, by its body.

The weights are this project's own: 1 is a vendor's cheapest class of models, the others are roughly
in proportion to the list prices of 2025 and 2026. They are for scheduling; money is in `prices.py`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from loco_redis._validate import shown
from loco_redis.adapters.usage import CHARACTERS_PER_TOKEN, MOST_TOKENS

_log = logging.getLogger("loco_redis")

#: A prompt and answer of more tokens than this make a call half as heavy again.
LONG = 32_000
_LONGER = 1.5

#: Words that must all stand in a model's name -> the weight of a call.
FAMILIES: Mapping[str, float] = {
    "opus": 5, "claude opus": 5,
    "sonnet": 2, "claude sonnet": 2,
    "haiku": 1, "claude haiku": 1,
    "fable": 10, "claude fable": 10,
    "mythos": 10, "claude mythos": 10,
    "claude": 2,
    "gpt": 3, "gpt mini": 1, "gpt nano": 1, "gpt pro": 5,
    "gpt 3.5": 1, "gpt 35": 1,
    "gpt 4": 5,  # the original and its turbo; gpt-4o and gpt-4.1 are other words
    "chatgpt": 3,
    "o1": 5, "o3": 3,
    "o1 mini": 1, "o3 mini": 1, "o4 mini": 1,
    "o1 pro": 5, "o3 pro": 5,
    "gemini": 3, "gemini flash": 1, "gemini pro": 3,
    "nova micro": 1, "nova lite": 1, "nova pro": 2,
    "titan": 1, "deepseek": 1, "llama": 1, "mistral": 2,
}  # fmt: skip
UNKNOWN = 2.0
_EMBEDDING = frozenset({"embedding", "embeddings", "embed"})
_EMBEDDING_WEIGHT, _EMBEDDING_COST = 1.0, 0.1
_FAMILIES = [(frozenset(family.split()), float(weight)) for family, weight in FAMILIES.items()]

#: Tokens that an image, a page or a recording counts, whatever its size.
MEDIA_TOKENS = 1500
_NO_PROMPT = frozenset({"model", "metadata", "user"})
_SCHEMAS = frozenset({"tools", "functions", "response_format", "text", "output_config"})
_MEDIA = frozenset({
    "image", "image_url", "input_image", "video_url", "input_audio",
    "file", "input_file", "document",
})  # fmt: skip
_MEDIA_PAYLOADS = frozenset({
    "source", "image_url", "video_url", "input_audio", "file", "file_data", "file_id", "file_url",
})  # fmt: skip
_BINARY = frozenset({"file_data", "b64_json"})

_LONGEST_NAME = 200
_MOST_NAMES = 1000


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a call will take at most: weight (1 and up), tokens (input and output), cost (as
    `Pricing` counts it: dollars or, without prices, the unit of `cost_in_weights`)."""

    weight: float
    tokens: int
    cost: float


class Once:
    """Names for which something has been said already; of a thousand at most."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def first(self, name: str) -> bool:
        if name in self._names or len(self._names) >= _MOST_NAMES:
            return False
        self._names.add(name)
        return True


_unknown = Once()


def weight_of(model: str, tokens: int) -> float:
    """The weight of a call to `model` with this many tokens, input and output: 1 and up."""
    weight = _EMBEDDING_WEIGHT if _embeds(model) else _family_weight(model)
    return max(weight * (_LONGER if tokens > LONG else 1), 1.0)


def cost_in_weights(model: str, tokens: int) -> float:
    """The cost where there are no prices: 1 is a thousand tokens of a haiku-class model."""
    weight = _EMBEDDING_COST if _embeds(model) else _family_weight(model)
    return weight * tokens / 1000


def _embeds(model: str) -> bool:
    return not _EMBEDDING.isdisjoint(_words(model[:_LONGEST_NAME]))


def _family_weight(model: str) -> float:
    """Of the family with the most words, then the longest."""
    name = model[:_LONGEST_NAME]
    words = _words(name)
    matches = [
        (len(family), sum(map(len, family)), weight)
        for family, weight in _FAMILIES
        if family <= words
    ]
    if matches:
        return max(matches)[2]
    if name and _unknown.first(name):
        _log.warning("%s is of no known family of models: its weight is %g", shown(name), UNKNOWN)
    return UNKNOWN


@lru_cache(maxsize=1024)
def _words(name: str) -> frozenset[str]:
    """Of `us.anthropic.claude-3` that is us.anthropic.claude, claude and 3; of `llama3.1` itself
    and llama."""
    words = {word for word in re.split(r"[-_:/@\s]+", name.lower()) if word}
    words |= {re.sub(r"^(?:[a-z]+\.)+", "", word) for word in words}
    words |= {start[0] for word in words if (start := re.match(r"[a-z]{3,}", word))}
    return frozenset(words)


def prompt_tokens_of(body: Mapping[str, Any]) -> int:
    """A rough count of the input tokens of a request's JSON: a token for each 4 characters of all
    texts in it, and of the keys in schemas, which the model sees as well. Token ids count one each,
    images and other media MEDIA_TOKENS each."""
    characters = tokens = 0
    rest = [(value, key in _SCHEMAS) for key, value in body.items() if key not in _NO_PROMPT]
    while rest:  # a list of its own, as no recursion is safe on what users send
        node, in_schema = rest.pop()
        if isinstance(node, str):
            if _is_data_url(node):
                tokens += MEDIA_TOKENS
            else:
                characters += len(node)
        elif isinstance(node, list):
            if node and type(node[0]) is int:
                tokens += len(node)
            else:
                rest += [(item, in_schema) for item in node]
        elif isinstance(node, dict):
            if _is_media(node):
                tokens += MEDIA_TOKENS
                continue
            if in_schema:
                characters += sum(len(key) for key in node)
            rest += [(value, in_schema) for key, value in node.items() if key != "signature"]
    return min(tokens - (-characters // CHARACTERS_PER_TOKEN), MOST_TOKENS)


def _is_data_url(text: str) -> bool:
    return text.startswith("data:") and ";base64," in text[:200]


def _is_media(node: dict[str, Any]) -> bool:
    """Whether an object stands for an image or the like, and not for a document made of text."""
    kind = node.get("type")
    if kind == "base64" or not _BINARY.isdisjoint(node):
        return True
    if not isinstance(kind, str) or kind not in _MEDIA or _MEDIA_PAYLOADS.isdisjoint(node):
        return False
    source = node.get("source")
    return not (isinstance(source, dict) and source.get("type") in ("text", "content"))
