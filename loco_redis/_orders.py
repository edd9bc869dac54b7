"""What is said of a durable task beyond its queue: when it may start and until when, how its result
is kept; and the form in which results and outcomes go to Redis."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from loco_redis import _validate as validate

_YEARS = 10 * 366 * 86_400.0
_MOST_RESULT = 1 << 20
_MOST_REASON = 4096
_JSON, _BYTES = b"j", b"b"

Moment = datetime | float | None


def packed_order(
    *,
    delay: float | None,
    not_before: Moment,
    deadline: Moment,
    dedup_key: str | None,
    result_ttl: float | None,
) -> bytes:
    """`start|deadline|ttl|key` as `submit.lua` reads it; empty where nothing is said.

    Raises:
        ValueError: a moment without a time zone, a time out of range, a key that is too long.
    """
    if delay is not None and not_before is not None:
        raise ValueError("both delay and not_before: give one of them")
    start = _after("delay", delay) if not_before is None else _at("not_before", not_before)
    read = _at if isinstance(deadline, datetime) else _after
    until = read("deadline", deadline)
    if start and until and start[:1].isdigit() == until[:1].isdigit() and int(until) <= int(start):
        raise ValueError(
            f"the deadline {validate.shown(deadline)} is not after the start: nobody could serve it"
        )
    ttl = round(1e6 * validate.seconds("result_ttl", result_ttl, 0, _YEARS)) if result_ttl else 0
    key = b""
    if dedup_key is not None:
        key = validate.utf8(dedup_key) or b"" if isinstance(dedup_key, str) else b""
        if not 0 < len(key) <= 512:
            raise ValueError(
                f"dedup_key must be a str of 1 to 512 UTF-8 bytes, got {validate.shown(dedup_key)}"
            )
    if not (start or until or ttl or key):
        return b""
    return b"%b|%b|%d|%b" % (start, until, ttl, key)


def _after(name: str, seconds: Any) -> bytes:
    if seconds is None:
        return b""
    return b"+%d" % round(1e6 * validate.seconds(name, seconds, 0, _YEARS))


def _at(name: str, moment: Moment) -> bytes:
    """Of a datetime with a time zone, or of seconds since the epoch."""
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ValueError(f"{name} must have a time zone, got {moment!r}: use datetime.now(UTC)")
        moment = moment.timestamp()
    return b"%d" % round(1e6 * validate.seconds(name, moment, 0, 4e9))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a durable task when its lease ends: `kind` c (done), f (failed), p (put off);
    `delay` in microseconds."""

    kind: str
    value: bytes = b""
    delay: int = 0


def done(value: object) -> Outcome:
    """Raises ValueError for what is neither JSON nor bytes, or is more than 1 MiB."""
    if isinstance(value, bytes | bytearray | memoryview):
        packed = _BYTES + bytes(value)
    else:
        try:
            packed = _JSON + json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(
                f"a result must be a JSON value or bytes, got {validate.shown(value)}: {error}"
            ) from None
    if len(packed) > _MOST_RESULT:
        raise ValueError(
            f"the result takes {len(packed)} bytes, at most {_MOST_RESULT} are kept: "
            "store it elsewhere and complete with where it is"
        )
    return Outcome("c", packed)


def failed(error: BaseException | str, delay: float) -> Outcome:
    """`delay` in seconds."""
    text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    reason = text.encode(errors="replace")[:_MOST_REASON]
    return Outcome("f", reason, round(1e6 * validate.seconds("retry_in", delay, 0, _YEARS)))


def put_off(delay: float = 0.0) -> Outcome:
    return Outcome("p", delay=round(1e6 * delay))


def value_of(packed: bytes) -> Any:
    """What `done` packed; None of a task that was released without a result."""
    if packed[:1] == _BYTES:
        return packed[1:]
    return json.loads(packed[1:]) if packed else None
