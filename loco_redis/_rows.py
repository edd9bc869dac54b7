"""The packed rows and members of `lua/README.md` with typed fields."""

from __future__ import annotations

from typing import NamedTuple, Self


class TermsRow(NamedTuple):
    """`cost:tokens:flags`."""

    cost: int
    tokens: int
    flags: str

    @classmethod
    def parse(cls, row: bytes) -> Self | None:
        """None where nothing was said and nothing reserved."""
        if not row:
            return None
        cost, tokens, flags = row.split(b":")
        return cls(int(cost), int(tokens), flags.decode())


class AccountRow(NamedTuple):
    """`spent|unsettled|reserved|over|window|period`."""

    spent: int
    unsettled: int
    reserved: int
    over: int
    window: int
    period: str

    @classmethod
    def parse(cls, row: bytes) -> Self:
        *numbers, period = row.split(b"|")
        spent, unsettled, reserved, over, window = map(int, numbers)
        return cls(spent, unsettled, reserved, over, window, period.decode())


class RequestRow(NamedTuple):
    """`W|lane|seq|tick|weight|since|terms|agent`."""

    lane: str
    seq: int
    tick: int
    weight: int
    since: int
    terms: TermsRow | None
    agent: bytes


class LeaseRow(NamedTuple):
    """`G|lane|slot|token|weight|attempt|waited|score|settled|since|task|terms|agent`."""

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
    terms: TermsRow | None
    agent: bytes


def request_row(row: bytes) -> RequestRow | LeaseRow:
    """The row of a waiting or of a granted request."""
    if row.startswith(b"W|"):
        _, lane, *counts, terms, agent = row.split(b"|", 7)
        seq, tick, units, joined = map(int, counts)
        return RequestRow(lane.decode(), seq, tick, units, joined, TermsRow.parse(terms), agent)
    _, lane, *numbers, score, settled, since, task, terms, agent = row.split(b"|", 12)
    slot, token, weight_, attempt, waited = map(int, numbers)
    charged = int(settled) if settled else None
    return LeaseRow(
        lane.decode(), slot, token, weight_, attempt, waited, float(score), charged, int(since),
        task, TermsRow.parse(terms), agent,
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
    """`state|seq|tick|weight|attempt|max_attempts|flags|terms|agent`."""

    state: str
    seq: int
    tick: int
    weight: int
    attempt: int
    max_attempts: int
    has_body: bool
    has_order: bool
    terms: TermsRow | None
    agent: bytes

    @classmethod
    def parse(cls, row: bytes) -> Self:
        state, *numbers, flags, terms, agent = row.split(b"|", 8)
        seq, tick, weight, attempt, limit = map(int, numbers)
        return cls(
            state.decode(), seq, tick, weight, attempt, limit, int(flags) & 1 == 1,
            int(flags) & 2 == 2, TermsRow.parse(terms), agent,
        )  # fmt: skip


class LoadRow(NamedTuple):
    """`Q|tick|seq|bound|durable|open|lane|weight|place|terms|id`."""

    q: int
    tick: int
    seq: int
    bound: int
    durable: int
    open: int
    lane: str
    weight: int
    place: str
    terms: TermsRow | None
    head: bytes

    @property
    def trust(self) -> float:
        """The factor of L(i) that the place says."""
        return int(self.place[-3:]) / 100 if len(self.place) > 4 else 1.0

    @classmethod
    def parse(cls, row: bytes) -> Self:
        *numbers, lane, weight, place, terms, head = row.split(b"|")
        q, tick, seq, bound, durable, open_ = map(int, numbers)
        return cls(
            q, tick, seq, bound, durable, open_, lane.decode(), int(weight), place.decode(),
            TermsRow.parse(terms), head,
        )  # fmt: skip


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
        lane, seq, tick, ident = _pieces(rest, 1, 16, 12)
        return cls(agent, lane.decode(), int(seq), int(tick), ident)


class IndexMember(NamedTuple):
    """`place bucket4 tick12 inverse-Q16 seq16 agent`."""

    bucket: bytes
    tick: int
    inverse_q: int
    seq: int
    agent: bytes

    @classmethod
    def parse(cls, member: bytes) -> Self:
        size = 4
        if member[:1] == b":":  # :tenant:percent
            size = member.index(b":", 1) + 8
        bucket, tick, inverse_q, seq, agent = _pieces(member, size, 12, 16, 16)
        return cls(bucket, int(tick), int(inverse_q), int(seq), agent)


class UnsettledRow(NamedTuple):
    """`token16|cost|flags|agent`."""

    token: int
    cost: int
    flags: str
    agent: bytes

    @classmethod
    def parse(cls, member: bytes) -> Self:
        token, cost, flags, agent = member.split(b"|", 3)
        return cls(int(token), int(cost), flags.decode(), agent)


def _pieces(text: bytes, *sizes: int) -> list[bytes]:
    """Pieces of these sizes, and the rest. Raises ValueError where there is less."""
    if len(text) < sum(sizes):
        raise ValueError(f"{len(text)} bytes where at least {sum(sizes)} belong")
    found, start = [], 0
    for size in sizes:
        found.append(text[start : start + size])
        start += size
    return [*found, text[start:]]
