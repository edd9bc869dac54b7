"""The whole state of a scheduler as a comparable value, from the reply of the `dump` script.

Hashes become dicts, sorted sets dicts of member to score, the slot bitmap the set of held slots.
`lines` are the members of `index` that begin with `!`. The rest of it
and `buckets` are derived (how agents are put into buckets is the scripts' business) and
take no part in `==`; the invariants check them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from loco_redis.testing.rows import LeaseRow, RequestRow, request_row

Hash = Mapping[bytes, bytes]
Zset = Mapping[bytes, float]

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
    )
)
NOTHING = b"0|0|0|0|0|0"
COUNTERS = (
    *b"serial tick seq fence held waiting peak granted released reclaimed raw vnow due".split(),
    b"features",
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
    tallies: Hash
    alerts: tuple[bytes, ...]
    index: Zset = field(compare=False)
    buckets: Zset = field(compare=False)

    @property
    def waiting(self) -> dict[bytes, RequestRow]:
        """Waiting requests by rid."""
        rows = ((rid, request_row(row)) for rid, row in self.requests.items())
        return {rid: row for rid, row in rows if isinstance(row, RequestRow)}

    @property
    def leases(self) -> dict[bytes, LeaseRow]:
        """Granted requests by rid."""
        rows = ((rid, request_row(row)) for rid, row in self.requests.items())
        return {rid: row for rid, row in rows if isinstance(row, LeaseRow)}

    def number(self, name: str) -> int:
        """A field of `vars`; 0 if it is absent."""
        return int(self.vars.get(name.encode(), b"0"))


def parse(reply: Sequence[Any]) -> Dump:
    """The reply of the `dump` script; ValueError names a key of an unexpected type."""
    values: dict[str, Any] = {}
    for suffix, kind, content in zip(reply[2::3], reply[3::3], reply[4::3], strict=True):
        name = _text(suffix).rpartition(":")[2]
        expected = _KINDS.get(name, "zset")
        if _text(kind) not in (expected, "none"):
            raise ValueError(f"{name} is a {_text(kind)}, not a {expected}")
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
    """The configuration, and each of the packed counters as a field of its own."""
    counters = row.get(b"counters")
    if counters is None:
        return row
    config = {name: value for name, value in row.items() if name != b"counters"}
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


_KINDS = dict.fromkeys(HASHES, "hash") | {"slots": "string", "alerts": "list"}
_CONTENT: dict[str, Callable[[Any], Any]] = {
    "hash": _hash,
    "zset": _zset,
    "string": _bits,
    "list": tuple,
}


def differences(left: Dump, right: Dump) -> list[str]:
    """One line for each row in which two dumps differ."""
    lines = []
    for key in (f.name for f in fields(Dump) if f.compare):
        mine, other = getattr(left, key), getattr(right, key)
        if isinstance(mine, frozenset | tuple):
            mine, other = (dict.fromkeys(side, 1) for side in (mine, other))
        for row in sorted({*mine, *other}):
            if mine.get(row) != other.get(row):
                lines.append(f"{key} {row!r}: {mine.get(row)!r} != {other.get(row)!r}")
    return lines
