"""The decision log as values."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loco_redis._endpoint import SOCKET_TIMEOUT
from loco_redis.observe.link import Link

#: Fields in thousandths, in microseconds, and whole numbers; all others are text.
_THOUSANDTHS = frozenset(("weight", "depth", "cost"))
_WHOLE = frozenset(("slot", "token", "waited", "held", "attempt", "limit", "version"))
_PAGE = 500
_PIECE = 1.0  # seconds


#: Of lua/README.md, Events.
KINDS = (
    "submitted",
    "due",
    "granted",
    "released",
    "refused",
    "cancelled",
    "reclaimed",
    "requeued",
    "died",
    "evicted",
    "expired",
    "throttled",
    "reconfigured",
    "governed",
)


@dataclass(frozen=True, slots=True)
class Event:
    """One decision.

    Attributes:
        event_id: its place in the log, `<serial>-<n>`.
        at: seconds since the epoch by the server's clock; tick: the logical clock then.
        kind: "submitted", "granted", "released", "refused", ...: see lua/README.md.
        agent_id: None where the decision is about no agent.
        facts: the rest by kind; weights and costs in units, times in seconds.
    """

    event_id: str
    at: float
    tick: int
    kind: str
    agent_id: str | None
    facts: Mapping[str, str | int | float]


def order(event_id: str) -> tuple[int, int]:
    """What ids are compared by."""
    serial, _, place = event_id.partition("-")
    return int(serial), int(place)


def decode(event_id: bytes, fields: Mapping[bytes, bytes]) -> Event:
    texts = {name.decode(): value.decode(errors="replace") for name, value in fields.items()}
    at, tick, kind = int(texts.pop("at")) / 1e6, int(texts.pop("tick")), texts.pop("kind")
    agent = texts.pop("agent", None)
    return Event(
        event_id.decode(), at, tick, kind, agent, {k: _value(k, v) for k, v in texts.items()}
    )


def _value(name: str, text: str) -> str | int | float:
    if name in _THOUSANDTHS:
        return int(text) / 1000
    if name == "pause":
        return int(text) / 1e6
    if name == "score":
        return float(text)
    return int(text) if name in _WHOLE else text


def newest(
    link: Link,
    key: bytes,
    since: float | None,
    count: int | None,
    wanted: Callable[[Event], bool] | None = None,
) -> list[Event]:
    """The last ones, oldest first: at most `count`, none older than `since` (epoch seconds)."""
    found: list[Event] = []
    end = "+"
    while count is None or len(found) < count:
        page = _page(link.call("XREVRANGE", key, end, "-", "COUNT", _PAGE))
        recent = [event for event in page if since is None or event.at >= since]
        found += filter(wanted, recent) if wanted else recent
        if len(page) < _PAGE or len(recent) < len(page):
            break
        end = f"({page[-1].event_id}"
    return found[:count][::-1]


def last_id(link: Link, key: bytes) -> str:
    """Of the newest one; "0-0" where there is none."""
    page = _page(link.call("XREVRANGE", key, "+", "-", "COUNT", 1))
    return page[0].event_id if page else "0-0"


def follow(link: Link, key: bytes, after: str, patience: float) -> list[Event]:
    """The next page of those that come after the event `after`; waits at most `patience` seconds
    for the first of them."""
    end = time.monotonic() + patience
    while True:
        left = end - time.monotonic()
        # The client gives a reply up after its socket timeout, so no single wait may come near it.
        block = ("BLOCK", max(round(min(left, _longest_wait(link)) * 1000), 1)) if left > 0 else ()
        reply = link.call("XREAD", "COUNT", _PAGE, *block, "STREAMS", key, after)
        found = [event for rows in _streams(reply) for event in _page(rows)]
        if found or left <= 0:
            return found


def _longest_wait(link: Link) -> float:
    limit = link.endpoint.location.options.get("socket_timeout", SOCKET_TIMEOUT)
    # Servers look for waits that are over ten times a second.
    return min(limit / 4 if limit else _PIECE, _PIECE)


def _streams(reply: Any) -> Iterator[Any]:
    """The rows of each stream in the reply of XREAD."""
    for _, rows in reply.items() if isinstance(reply, dict) else reply or ():
        # redis-py wraps the rows once more under RESP3.
        yield rows[0] if rows and isinstance(rows[0], list) and _nested(rows) else rows


def _nested(rows: list[Any]) -> bool:
    return bool(rows[0]) and isinstance(rows[0][0], list | tuple)


def _page(rows: Any) -> list[Event]:
    return [decode(event_id, _fields(fields)) for event_id, fields in rows]


def _fields(fields: Any) -> Mapping[bytes, bytes]:
    if isinstance(fields, Mapping):
        return fields
    return dict(zip(fields[::2], fields[1::2], strict=True))
