"""What a call of AWS Bedrock asks for: its model, its prompt, the most that its answer may have.

Nothing here raises on what the SDK will refuse. No I/O.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from loco_redis.adapters.usage import count, mapping

Arguments = Mapping[str, Any]

# Where models have a name of their own, it stands behind one of these.
_ARN = re.compile(r"arn:[^:]*:[^:]*:[^:]*:[^:]*:(?:foundation-model/|inference-profile/)?(.+)")

# Of a Converse block, and of the bodies of some models.
_MEDIA = ("image", "document", "video", "audio", "inputImage")
_AN_IMAGE = {"type": "base64"}  # counts as one where prompts are counted

# Where bodies say how many tokens the answer may have: each vendor has its own place for it.
_CONFIGS = ("inferenceConfig", "textGenerationConfig")
_LIMITS = (
    "max_tokens",
    "maxTokens",
    "max_completion_tokens",
    "max_new_tokens",
    "max_gen_len",
    "maxTokenCount",
    "max_tokens_to_sample",
)


def name_of(model_id: str) -> str:
    """The model's name in its id: of `arn:aws:bedrock:us-east-1:1:inference-profile/us.meta.llama3`
    that is `us.meta.llama3`. An ARN that has none gives its kind and its own name, such as
    `application-inference-profile/abc`."""
    found = _ARN.fullmatch(model_id)
    return found[1] if found else model_id


def asked_in_messages(arguments: Arguments) -> tuple[object, int]:
    """The prompt of a Converse call, and its limit; 0: it sets none."""
    prompt = [_messages(arguments.get("messages")), _content(arguments.get("system"))]
    limit = count(mapping(arguments.get("inferenceConfig")).get("maxTokens"))
    return [*prompt, arguments.get("toolConfig")], limit


def asked_in_body(arguments: Arguments) -> tuple[object, int]:
    """The same of a call that sends its model's own body."""
    body = arguments.get("body")
    if not isinstance(body, str | bytes | bytearray):
        return "", 0  # a file: it is the SDK's to read
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return "", 0
    if not isinstance(parsed, dict):
        return parsed, 0
    places = (parsed, *(mapping(parsed.get(name)) for name in _CONFIGS))
    limits = (count(place.get(name)) for place in places for name in _LIMITS)
    prompt = {**_block(parsed), "messages": _messages(parsed.get("messages"))}
    return prompt, next(filter(None, limits), 0)


def _messages(messages: object) -> list[object]:
    """Images and other media stand in them as bytes of any length, and count as one each."""
    given = messages if isinstance(messages, list | tuple) else ()
    return [{**mapping(one), "content": _content(mapping(one).get("content"))} for one in given]


def _content(content: object) -> object:
    if not isinstance(content, list | tuple):
        return content
    return [_block(one) if isinstance(one, dict) else one for one in content]


def _block(block: Mapping[str, Any]) -> dict[str, Any]:
    media = [name for name in _MEDIA if name in block and not _is_text(block[name])]
    changed: dict[str, Any] = dict.fromkeys(media, _AN_IMAGE)
    result = mapping(block.get("toolResult"))
    if result:
        inner = result.get("content")
        blocks = inner if isinstance(inner, list | tuple) else ()
        changed["toolResult"] = {
            "content": [
                {name: _AN_IMAGE if name in _MEDIA else value for name, value in one.items()}
                for one in map(mapping, blocks)
            ]
        }
    return {**block, **changed}


def _is_text(media: object) -> bool:
    """A document may be given as a text."""
    source = mapping(mapping(media).get("source"))
    return "text" in source or "content" in source
