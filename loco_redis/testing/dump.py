"""The whole state of a scheduler as a comparable value, from the reply of the `dump` script.

Hashes become dicts, sorted sets dicts of member to score, the slot bitmap the set of held slots.
`lines` are the members of `index` that begin with `!`. The rest of it,
`idle` and `buckets` are derived (how agents are put into buckets is the scripts' business) and
take no part in `==`; the invariants check them. Nor does `events`, of which a server keeps the last
ones, about as many as it was told: `differences` says whether they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

from loco_redis._rows import LeaseRow, RequestRow, request_row

Hash = Mapping[bytes, bytes]
Zset = Mapping[bytes, float]
Entry = tuple[bytes, Mapping[bytes, bytes]]

HASHES = frozenset(
    (
        "vars",
        "sessions",
        "requests",
        "tasks",
        "bodies",
        "loads",
        "agents",
        "holders",
        "costs",
        "rules",
        "accounts",
        "tallies",
        "orders",
    )
)
NOTHING = b"0|0|0|0|0|0"

# The same rows are asked for by many invariants, and stay from one dump to the next.
_request_row = lru_cache(maxsize=1024)(request_row)

CONFIG = (b"capacity", b"alpha", b"lease", b"max_waiters", b"version")
COUNTERS = (
    *b"serial tick seq fence held waiting peak granted released reclaimed raw vnow due".split(),
    *(b"servers", b"alarm", b"features"),
)


@dataclass(frozen=True, slots=True)
class Dump:
    """Every key of `lua/README.md`; absent keys are empty. The counters are fields of `vars`."""

    vars: Hash
    sessions: Hash
    deadlines: Zset
    requests: Hash
    owned: Zset
    tombstones: Zset
    tasks: Hash
    bodies: Hash
    queue: Zset
    loads: Hash
    agents: Hash
    depth: Zset
    ready: Zset
    parked: Zset
    slots: frozenset[int]
    holders: Hash
    dead: Zset
    costs: Hash
    unsettled: Zset
    rules: Hash
    accounts: Hash
    lines: Zset
    later: Zset
    timers: Zset
    orders: Hash
    tallies: Hash
    alerts: tuple[bytes, ...]
    events: tuple[Entry, ...] = field(compare=False)
    index: Zset = field(compare=False)
    buckets: Zset = field(compare=False)
    idle: Zset = field(compare=False)

    @property
    def waiting(self) -> dict[bytes, RequestRow]:
        """Waiting requests by rid."""
        rows = ((rid, _request_row(row)) for rid, row in self.requests.items())
        return {rid: row for rid, row in rows if isinstance(row, RequestRow)}

    @property
    def leases(self) -> dict[bytes, LeaseRow]:
        """Granted requests by rid."""
        rows = ((rid, _request_row(row)) for rid, row in self.requests.items())
        return {rid: row for rid, row in rows if isinstance(row, LeaseRow)}

    def number(self, name: str) -> int:
        """A field of `vars`; 0 if it is absent."""
        return int(self.vars.get(name.encode(), b"0"))


def parse(reply: Sequence[Any]) -> Dump:
    """The reply of the `dump` script; ValueError names a key of an unexpected type, or an empty
    stream."""
    values: dict[str, Any] = {}
    for suffix, kind, content in zip(reply[2::3], reply[3::3], reply[4::3], strict=True):
        name = _text(suffix).rpartition(":")[2]
        expected = _KINDS.get(name, "zset")
        if _text(kind) not in (expected, "none"):
            raise ValueError(f"{name} is a {_text(kind)}, not a {expected}")
        if _text(kind) == "stream" and not content:  # the one kind that can be there and be empty
            raise ValueError(f"{name} is an empty stream")
        values[name] = _CONTENT[expected](content)
    values["vars"] = _vars(values["vars"])
    values["lines"] = {m[1:]: s for m, s in values["index"].items() if m[:1] == b"!"}
    values["index"] = {m: s for m, s in values["index"].items() if m[:1] != b"!"}
    # The number of values of a dimension that has none any more.
    values["tallies"] = {
        field: row
        for field, row in values["tallies"].items()
        if not (field.startswith(b"#") and row == b"0")
    }
    return Dump(**values)


def _vars(row: Hash) -> Hash:
    """The configuration, and each packed part as a field of its own."""
    counters = row.get(b"counters")
    if counters is None:
        return row
    config = {name: value for name, value in row.items() if name not in (b"counters", b"config")}
    config |= dict(zip(CONFIG, row[b"config"].split(b"|"), strict=True))
    if config.get(b"pacing") == NOTHING:
        del config[b"pacing"]
    return config | dict(zip(COUNTERS, counters.split(b"|"), strict=True))


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _hash(content: Sequence[bytes]) -> Hash:
    return dict(zip(content[::2], content[1::2], strict=True))


def _zset(content: Sequence[Any]) -> Zset:
    return {member: float(score) for member, score in _hash(content).items()}


def _bits(content: bytes | Sequence[Any]) -> frozenset[int]:
    return frozenset(
        8 * i + bit for i, byte in enumerate(content) for bit in range(8) if byte << bit & 128
    )


def _entries(content: Sequence[Any]) -> tuple[Entry, ...]:
    return tuple((ident, _hash(flat)) for ident, flat in content)


_KINDS = dict.fromkeys(HASHES, "hash")
_KINDS |= {"slots": "string", "alerts": "list", "events": "stream"}
_CONTENT: dict[str, Callable[[Any], Any]] = {
    "hash": _hash,
    "zset": _zset,
    "string": _bits,
    "list": tuple,
    "stream": _entries,
}


def differences(left: Dump, right: Dump) -> list[str]:
    """One line for each row in which two dumps differ. `left` may have the last events only."""
    lines = list(_events_differ(left.events, right.events))
    for key in (f.name for f in fields(Dump) if f.compare):
        mine, other = getattr(left, key), getattr(right, key)
        if isinstance(mine, frozenset | tuple):
            mine, other = (dict.fromkeys(side, 1) for side in (mine, other))
        for row in sorted({*mine, *other}):
            if mine.get(row) != other.get(row):
                lines.append(f"{key} {row!r}: {mine.get(row)!r} != {other.get(row)!r}")
    return lines


def _events_differ(left: Sequence[Entry], right: Sequence[Entry]) -> Iterator[str]:
    if len(left) > len(right):
        yield f"events: {len(left)} of {len(right)}"
    for mine, other in zip(reversed(left), reversed(right), strict=False):
        if mine != other:
            yield f"events: {mine!r} != {other!r}"
