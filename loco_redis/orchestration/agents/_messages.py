"""Messages as they go through Redis: JSON in a task's payload, a key of their own."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from loco_redis import _validate as validate


def packed(message: Any) -> bytes:
    """Raises ValueError for what is no JSON value, or is more than 1 MiB of it."""
    try:
        data = json.dumps(message, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"a message must be a JSON value, got {validate.shown(message)}: {error}"
        ) from None
    if len(data) > validate.MAX_PAYLOAD_BYTES:
        raise ValueError(
            f"the message takes {len(data)} bytes, at most {validate.MAX_PAYLOAD_BYTES} (1 MiB) "
            "are allowed: store it elsewhere and send where it is"
        )
    return data


def unpacked(payload: bytes | None) -> Any:
    """Raises ValueError for a task that is no message."""
    try:
        return json.loads(payload or b"")
    except (ValueError, RecursionError):
        raise ValueError("the task's payload is no message: it was not sent as one") from None


def dedup_key_of(agent_id: str, key: str) -> str:
    """Of any length that a key may have, an agent's id beside it."""
    if not validate.label("key", key):
        raise ValueError("key must not be empty: leave it out for a message of its own")
    return hashlib.blake2b(f"{agent_id}\0{key}".encode(), digest_size=16).hexdigest()
