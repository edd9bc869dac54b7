"""Values and texts as they are stored."""

from __future__ import annotations

import json
from typing import Any

from loco_redis._validate import MAX_PAYLOAD_BYTES
from loco_redis.errors import PlanError


def as_json(what: str, value: Any) -> str:
    """Raises PlanError: it is no JSON value, or longer than 1 MiB."""
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise PlanError(f"{what} must be a JSON value: {error}") from None
    if len(text) > MAX_PAYLOAD_BYTES:
        raise PlanError(
            f"{what} has {len(text):,} bytes as JSON, at most 1 MiB is allowed: store it "
            "elsewhere and pass its address"
        )
    return text


def one_line(text: str, most: int = 500) -> str:
    """In one line, cut, fit to be sent."""
    line = " ".join(text.encode(errors="replace").decode().split())
    return line if len(line) <= most else f"{line[:most]}..."
