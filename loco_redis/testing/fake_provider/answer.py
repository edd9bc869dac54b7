"""Answer: what is sent for a call, cut into the parts that are sent one by one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from loco_redis.testing.fake_provider.billed import Billed

_PIECE = 6


@dataclass(frozen=True, slots=True)
class Answer:
    """`billed`: what it says of tokens; None when it says nothing. `content_type`: where it is
    neither JSON nor server-sent events. `headers`: further ones."""

    parts: tuple[bytes, ...]
    streamed: bool = False
    billed: Billed | None = None
    status: int = 200
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of_json(cls, body: Mapping[str, Any], billed: Billed | None = None) -> Self:
        return cls((json.dumps(body).encode(),), billed=billed)

    @classmethod
    def of_events(cls, events: Iterable[bytes], billed: Billed | None) -> Self:
        return cls(tuple(events), streamed=True, billed=billed)

    @classmethod
    def of_error(cls, status: int, body: Mapping[str, Any]) -> Self:
        return cls((json.dumps(body).encode(),), status=status)


def data(value: Mapping[str, Any]) -> bytes:
    """A server-sent event without a name."""
    return b"data: %b\n\n" % json.dumps(value).encode()


def named(event: Mapping[str, Any]) -> bytes:
    """A server-sent event named by its own `type`."""
    return b"event: %b\n%b" % (str(event["type"]).encode(), data(event))


def pieces(text: str) -> list[str]:
    """The text as a stream brings it."""
    return [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
