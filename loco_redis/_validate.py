"""What may be sent to Redis: each check returns the wire form or raises a one-line ValueError."""

from __future__ import annotations

import re
from contextlib import suppress
from numbers import Real
from typing import Any

from loco_redis._limits import LIMITS

NAME_PATTERN = "[A-Za-z0-9_-]{1,64}"
NAME_RULE = "1 to 64 characters out of A-Z a-z 0-9 _ -"
FULL_NAME_PATTERN = f"(?:{NAME_PATTERN}/)?{NAME_PATTERN}"
FULL_NAME_RULE = f"{NAME_RULE}, or two such names as group/name"

MAX_AGENT_ID_BYTES = LIMITS.id
MAX_PAYLOAD_BYTES = 1 << 20
MAX_WEIGHT = 1e9
MAX_COST = 1e12
THOUSAND = 1000
_SHOWN = 80


def shown(value: object) -> str:
    """`repr(value)`, cut so that a hostile value cannot flood a message or a log."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


def resource_name(name: str) -> str:
    """The full name itself, `name` or `group/name`: it becomes part of key names, so its
    characters are few."""
    if not isinstance(name, str) or not re.fullmatch(FULL_NAME_PATTERN, name):
        raise ValueError(f"resource name must be {FULL_NAME_RULE}, got {shown(name)}")
    return name


def group_name(group: str) -> str:
    """The name of a group of resources."""
    if not isinstance(group, str) or not re.fullmatch(NAME_PATTERN, group):
        raise ValueError(f"group must be {NAME_RULE}, got {shown(group)}")
    return group


def agent_id(agent: str) -> bytes:
    """UTF-8 of an agent id: 1 to 512 bytes without NUL, which separates members in Redis."""
    if not isinstance(agent, str):
        raise ValueError(f"agent id must be a str, got {shown(agent)}")
    try:
        encoded = agent.encode()
    except UnicodeEncodeError:
        raise ValueError(f"agent id {shown(agent)} holds a lone surrogate: not Unicode") from None
    if not encoded:
        raise ValueError("agent id must not be empty: name who asks, e.g. 'webhook'")
    if len(encoded) > MAX_AGENT_ID_BYTES:
        raise ValueError(
            f"agent id {shown(agent)} has {len(encoded)} UTF-8 bytes, "
            f"at most {MAX_AGENT_ID_BYTES} are allowed: use a shorter name or a hash"
        )
    if b"\0" in encoded:
        raise ValueError(f"agent id {shown(agent)} holds a NUL character: remove it")
    return encoded


def weight(value: float) -> int:
    """Thousandths of a task's weight, 1 to 1e9."""
    return _thousandths("weight", value, 1, MAX_WEIGHT)


def cost(value: float) -> int:
    """Thousandths of a settled cost, 0 to 1e12."""
    return _thousandths("cost", value, 0, MAX_COST)


def seconds(what: str, value: Any, low: float, high: float) -> float:
    """A number of seconds in its range."""
    return number(what, value, low, high, "a number of seconds")


def whole(what: str, value: int | None, low: int, high: int = 10**9) -> int | None:
    """An int in its range, or None."""
    return None if value is None else count(what, value, low, high)


def number(what: str, value: Any, low: float, high: float, kind: str = "a number") -> float:
    """A number in its range."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    # NaN fails every comparison, so the range check refuses it too.
    if not (is_number and low <= value <= high):
        raise ValueError(f"{what} must be {kind} from {low:g} to {high:g}, got {shown(value)}")
    return float(value)


def count(what: str, value: int, low: int, high: int) -> int:
    """An int in its range."""
    if not (type(value) is int and low <= value <= high):
        raise ValueError(f"{what} must be an int from {low:,} to {high:,}, got {shown(value)}")
    return value


def utf8(text: object) -> bytes | None:
    """UTF-8 of a text; None for what is none, or holds lone surrogates."""
    with suppress(UnicodeEncodeError):
        return text.encode() if isinstance(text, str) else None
    return None


def label(what: str, value: str) -> bytes:
    """UTF-8 of a text by which figures are counted: up to 512 bytes without NUL."""
    encoded = utf8(value)
    if encoded is None or len(encoded) > MAX_AGENT_ID_BYTES or b"\0" in encoded:
        raise ValueError(
            f"{what} must be a str of at most {MAX_AGENT_ID_BYTES} UTF-8 bytes without NUL, "
            f"got {shown(value)}"
        )
    return encoded


def payload(data: bytes | None) -> bytes | None:
    """A task's payload, up to 1 MiB, or None."""
    if data is None:
        return None
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ValueError(f"payload must be bytes or None, got {shown(data)}: encode it first")
    data = bytes(data)
    if len(data) > MAX_PAYLOAD_BYTES:
        raise ValueError(
            f"payload has {len(data)} bytes, at most {MAX_PAYLOAD_BYTES} (1 MiB) are allowed: "
            "store it elsewhere and pass its address"
        )
    return data


def _thousandths(what: str, value: Any, low: float, high: float) -> int:
    thousandths: int = round(number(what, value, low, high) * THOUSAND)
    return thousandths
