"""The packed rows and members of `lua/README.md` with typed fields."""

from __future__ import annotations

import struct
from typing import NamedTuple, Self


class RequestRow(NamedTuple):
    """`W|lane|seq|tick|weight|agent`."""

    lane: str
    seq: int
    tick: int
    weight: int
    agent: bytes


class LeaseRow(NamedTuple):
    """`G|lane|slot|token|weight|attempt|waited|score|settled|since|task|agent`."""

    lane: str
    slot: int
    token: int
    weight: int
    attempt: int
    waited: int
    score: float
    settled: int | None
    since: int
    task: bytes
    agent: bytes


def request_row(row: bytes) -> RequestRow | LeaseRow:
    """The row of a waiting or of a granted request."""
    if row.startswith(b"W|"):
        _, lane, seq, tick, weight, agent = row.split(b"|", 5)
        return RequestRow(lane.decode(), int(seq), int(tick), int(weight), agent)
    _, lane, *numbers, score, settled, since, task, agent = row.split(b"|", 11)
    slot, token, weight_, attempt, waited = map(int, numbers)
    charged = int(settled) if settled else None
    return LeaseRow(
        lane.decode(), slot, token, weight_, attempt, waited, float(score), charged, int(since),
        task, agent,
    )  # fmt: skip


class SessionRow(NamedTuple):
    """`deadline|floor|last|tombs|delivered|info`."""

    deadline: int
    floor: int
    last: int
    tombs: int
    delivered: int
    info: bytes

    @classmethod
    def parse(cls, row: bytes) -> Self:
        *numbers, info = row.split(b"|", 5)
        deadline, floor, last, tombs, delivered = map(int, numbers)
        return cls(deadline, floor, last, tombs, delivered, info)


class TaskRow(NamedTuple):
    """`state|seq|tick|weight|attempt|max_attempts|has_body|agent`."""

    state: str
    seq: int
    tick: int
    weight: int
    attempt: int
    max_attempts: int
    has_body: bool
    agent: bytes

    @classmethod
    def parse(cls, row: bytes) -> Self:
        state, *numbers, has_body, agent = row.split(b"|", 7)
        seq, tick, weight, attempt, limit = map(int, numbers)
        return cls(state.decode(), seq, tick, weight, attempt, limit, has_body == b"1", agent)


class LoadRow(NamedTuple):
    """`Q|tick|seq|bound|durable|open|lane|weight|id`; the last three are those of the head."""

    q: int
    tick: int
    seq: int
    bound: int
    durable: int
    open: int
    lane: str
    weight: int
    head: bytes

    @classmethod
    def parse(cls, row: bytes) -> Self:
        *numbers, lane, weight, head = row.split(b"|")
        q, tick, seq, bound, durable, open_ = map(int, numbers)
        return cls(q, tick, seq, bound, durable, open_, lane.decode(), int(weight), head)


class QueueMember(NamedTuple):
    """`agent NUL lane seq16 tick12 id`."""

    agent: bytes
    lane: str
    seq: int
    tick: int
    id: bytes

    @classmethod
    def parse(cls, member: bytes) -> Self:
        agent, _, rest = member.partition(b"\0")
        lane, seq, tick, ident = struct.unpack(f"c16s12s{len(rest) - 29}s", rest)
        return cls(agent, lane.decode(), int(seq), int(tick), ident)


class IndexMember(NamedTuple):
    """`bucket4 tick12 inverse-Q16 seq16 agent`."""

    bucket: bytes
    tick: int
    inverse_q: int
    seq: int
    agent: bytes

    @classmethod
    def parse(cls, member: bytes) -> Self:
        bucket, tick, inverse_q, seq, agent = struct.unpack(
            f"4s12s16s16s{len(member) - 48}s", member
        )
        return cls(bucket, int(tick), int(inverse_q), int(seq), agent)


class UnsettledRow(NamedTuple):
    """`token16|weight|agent`."""

    token: int
    weight: int
    agent: bytes

    @classmethod
    def parse(cls, member: bytes) -> Self:
        token, weight, agent = member.split(b"|", 2)
        return cls(int(token), int(weight), agent)
