"""Reading hashes by plain commands: piece by piece, so that a large one blocks nobody."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loco_redis._session import Session

_COUNT = 1000


def escaped(text: bytes) -> bytes:
    """`text` as a MATCH pattern that means just itself."""
    return re.sub(rb"[\\*?\[\]]", rb"\\\g<0>", text)


async def scan(session: Session, key: bytes, pattern: bytes) -> dict[bytes, bytes]:
    """The fields that match. Each is as it was at some moment of the reading."""
    found: dict[bytes, bytes] = {}
    cursor = b"0"
    while True:
        answer = await session.outbox.send_raw(
            session.backend_timeout, "HSCAN", key, cursor, "MATCH", pattern, "COUNT", _COUNT
        )
        cursor, flat = answer.reply
        found.update(zip(flat[::2], flat[1::2], strict=True))
        if cursor in (b"0", 0):
            return found


async def get(session: Session, key: bytes, field: bytes) -> bytes | None:
    found: bytes | None = (
        await session.outbox.send_raw(session.backend_timeout, "HGET", key, field)
    ).reply
    return found
