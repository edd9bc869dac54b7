"""What is said of durable tasks beyond their rows: when they are due and until when, and why they
failed. Read for the tasks that are shown only."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from loco_redis._keys import Keys
from loco_redis._rows import TaskRow
from loco_redis.observe.link import Link

_PAGE = 500
#: By the letter of lua/include/die.lua.
_ENDS = {b"f": "failed", b"x": "deadline", b"h": "holder"}


@dataclass(frozen=True, slots=True)
class Order:
    """One task's.

    Attributes:
        due: when a delayed task joins its queue; deadline: when a task is dead that is not done;
            both in seconds since the epoch by the server's clock.
        result_ttl: seconds for which its result will be kept.
        ended_by: why its last attempt ended: "failed", "holder" (which was gone), or "deadline";
            None where it has not ended, or nothing is kept of that.
        error: what it failed with, as text that its handler chose.
    """

    due: float | None
    deadline: float | None
    result_ttl: float | None
    dedup_key: str | None
    ended_by: str | None
    error: str | None


def read_orders(
    link: Link, name: str, task_ids: Sequence[str], delayed: Collection[str]
) -> dict[str, Order]:
    """In pages; of a task that has none all fields are None. Only those `delayed` are looked for
    among what is due."""
    keys, found = Keys(name), dict[str, Order]()
    due = _due(link, keys, {task_id.encode() for task_id in delayed})
    for page in _pages(task_ids):
        ids = [task_id.encode() for task_id in page]
        fields = [letter + task_id for task_id in ids for letter in (b"o", b"e")]
        rows = link.call("HMGET", keys.orders, *fields)
        for task_id, order, end in zip(ids, rows[::2], rows[1::2], strict=True):
            found[task_id.decode()] = _order(order, end, due.get(task_id))
    return found


def first_due(link: Link, name: str, agent: bytes, most: int) -> tuple[int, float | None]:
    """How many of the next `most` delayed tasks are this agent's, and when the first is due."""
    keys, found = Keys(name), list[float]()
    pairs = link.call("ZRANGE", keys.later, 0, most - 1, "WITHSCORES")
    due = {task_id: float(time) for task_id, time in pairs}
    for page in _pages([*due]):
        for task_id, row in zip(page, link.call("HMGET", keys.tasks, *page), strict=True):
            if row is not None and TaskRow.parse(row).agent == agent:
                found.append(due[task_id] / 1e6)
    return len(found), min(found, default=None)


def _due(link: Link, keys: Keys, wanted: Collection[bytes]) -> dict[bytes, float]:
    """The times of these delayed tasks, by a command that every viewer may run: all are looked
    through, the next first, until these are found."""
    found, start = dict[bytes, float](), 0
    while len(found) < len(wanted):
        page = link.call("ZRANGE", keys.later, start, start + _PAGE - 1, "WITHSCORES")
        found |= {task_id: float(time) for task_id, time in page if task_id in wanted}
        if len(page) < _PAGE:
            break
        start += _PAGE
    return found


def _order(order: bytes | None, end: bytes | None, due: float | None) -> Order:
    deadline, ttl, key = (order or b"0|0|").split(b"|", 2)
    return Order(
        due=None if due is None else due / 1e6,
        deadline=int(deadline) / 1e6 or None,
        result_ttl=int(ttl) / 1e6 or None,
        dedup_key=key.decode(errors="replace") or None,
        ended_by=_ENDS.get((end or b"")[:1]),
        error=end[1:].decode(errors="replace") if end and end[:1] == b"f" else None,
    )


def _pages(ids: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(ids), _PAGE):
        yield ids[start : start + _PAGE]
