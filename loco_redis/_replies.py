"""Replies of the scripts as frozen values; ``lua/README.md`` says what each field means.

Inside Redis weights and costs are integers in thousandths and times are microseconds; here they are
plain units and seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple, Self

from loco_redis.snapshots import AgentSnapshot, Holder, SessionSnapshot, Snapshot, Waiter


class Status(IntEnum):
    """First field of every reply; mirrored by ``lua/include/status.lua``."""

    OK = 0
    GRANTED = 1
    QUEUED = 2
    FINISHED = 3
    EXPIRED = 4
    BACKPRESSURE = 5
    MISMATCH = 6
    UNCONFIGURED = 7
    UNKNOWN_AGENT = 8
    AGENT_BUSY = 9
    UNKNOWN_TASK = 10
    TASK_RUNNING = 11
    CONFLICT = 12
    LATE = 13
    REFUSED = 14
    TASK_ALIVE = 15
    NO_RESULT = 16


class Grant(NamedTuple):
    """A slot given to one request: the same text in a reply and in a hint."""

    sequence: int
    slot: int
    token: int
    weight: float
    attempt: int
    waited_ticks: int
    score: float
    has_body: bool
    flags: str
    task_id: str | None
    agent: bytes | None = None  # of a request that serves any

    @classmethod
    def parse(cls, text: bytes) -> Self:
        sequence, slot, token, weight, attempt, waited, score, has_body, flags, task, *agent = (
            text.split(b"|", 10)
        )
        if task and (task[-13:-12] != b":" or not task[-12:].isdigit()):
            raise ValueError(f"{task!r} is no id of a task")
        return cls(
            int(sequence),
            int(slot),
            int(token),
            int(weight) / 1000,
            int(attempt),
            int(waited),
            float(score),
            has_body == b"1",
            flags.decode(),
            task.decode() if task else None,
            agent[0] if agent else None,
        )


@dataclass(frozen=True, slots=True)
class StoredConfig:
    """What Redis holds: lease in seconds; without a limit ``max_waiters`` is None, a rate 0.
    ``born`` (us) tells a server that was emptied from the one before."""

    capacity: int
    alpha: float
    lease: float
    max_waiters: int | None
    version: int
    rpm: int = 0
    rpm_burst: int = 0
    tpm: int = 0
    tpm_burst: int = 0
    adaptive: int = 0
    auto_tune: int = 0
    events: int = 0
    paused: int = 0
    born: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a task was not let in: the policy and the facts, in the script's units."""

    policy: str
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    status: Status
    serial: int


@dataclass(frozen=True, slots=True)
class RefusableReply(Reply):
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class SubmitReply(RefusableReply):
    task_id: str = ""
    wake: int = 0


@dataclass(frozen=True, slots=True)
class ResultReply(Reply):
    """``kind``: c(ompleted), with its value; f(ailed), x (past its deadline), h (holder gone)."""

    kind: str = ""
    value: bytes = b""


@dataclass(frozen=True, slots=True)
class OpenReply(Reply):
    config: StoredConfig | None = None
    delivered: int = 0
    field: str = ""
    stored: str = ""


@dataclass(frozen=True, slots=True)
class HeartbeatReply(Reply):
    lease: float = 0.0
    version: int = 0
    delivered: int = 0
    fence: int = 0
    more: bool = False
    wake: int = 0


@dataclass(frozen=True, slots=True)
class GrantsReply(Reply):
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class AcquireReply(Reply):
    tick: int = 0
    wake: int = 0
    depth: float = 0.0
    grants: tuple[Grant, ...] = ()
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class ReleaseReply(Reply):
    tick: int = 0
    cost: float = 0.0
    held: int = 0
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class CompleteReply(ReleaseReply):
    wake: int = 0


@dataclass(frozen=True, slots=True)
class ReconfigureReply(Reply):
    config: StoredConfig | None = None
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class SettleReply(Reply):
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class CloseReply(Reply):
    more: bool = False


@dataclass(frozen=True, slots=True)
class ReapReply(Reply):
    reaped: int = 0
    more: bool = False
    wake: int = 0


@dataclass(frozen=True, slots=True)
class ThrottleReply(Reply):
    pause: float = 0.0
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What governance says of one agent or tenant; costs in units, times in seconds.

    Attributes:
        scope: ``a`` or ``t``, then the agent or the tenant.
        limit: None without one; mode: r(eject), a(lert), d(owngrade).
        period: "", "day", "month" or seconds.
        over: spent or reserved beyond the limit without having been refused.
        cap, held: most slots at once, and slots held; held is only counted where there is a cap.
        rate, rate_period: tasks that its rate policy lets in per period; None without one.
        rate_wait: until it lets in as many at once again as it ever does.
    """

    scope: str
    limit: float | None
    mode: str
    period: str
    spent: float
    unsettled: float
    reserved: float
    over: float
    cap: int | None
    held: int
    rate: float | None
    rate_period: float
    rate_wait: float

    @property
    def used(self) -> float:
        return self.spent + self.unsettled + self.reserved


@dataclass(frozen=True, slots=True)
class StandingReply(Reply):
    standings: tuple[Standing, ...] = ()


@dataclass(frozen=True, slots=True)
class PollReply(Reply):
    delivered: int = 0
    after: str = ""
    grants: tuple[Grant, ...] = ()
    waiting: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentReply(Reply):
    agent: AgentSnapshot | None = None


@dataclass(frozen=True, slots=True)
class SnapshotReply(Reply):
    snapshot: Snapshot | None = None


_STATUSES = tuple(Status)  # by number: this is asked at every reply


def _grants(values: list[Any]) -> tuple[Grant, ...]:
    return tuple(map(Grant.parse, values)) if values else ()


def _config(values: list[Any]) -> StoredConfig:
    capacity, alpha, lease, max_waiters, version, *pace = values
    limit = None if int(max_waiters) < 0 else int(max_waiters)
    return StoredConfig(
        int(capacity), float(alpha), int(lease) / 1e6, limit, int(version), *map(int, pace)
    )


_SAY_MORE = (Status.OK, Status.GRANTED, Status.QUEUED)


def _bare(values: list[Any], least: int) -> bool:
    """Whether a reply says no more than its status; ValueError for one that has been cut off."""
    if len(values) >= least:
        return False
    if Status(values[0]) in _SAY_MORE:
        raise ValueError(f"cut off: {values!r}")
    return True


def reply(values: list[Any]) -> Reply:
    return Reply(Status(values[0]), values[1])


def _refusal(values: list[Any]) -> Refusal:
    policy, *facts = (v.decode() if isinstance(v, bytes) else str(v) for v in values)
    return Refusal(policy, tuple(facts))


def refusable(values: list[Any]) -> RefusableReply:
    status = Status(values[0])
    refusal = _refusal(values[2:]) if status is Status.REFUSED else None
    return RefusableReply(status, values[1], refusal)


def submitted(values: list[Any]) -> SubmitReply:
    status = Status(values[0])
    if status is Status.REFUSED:
        return SubmitReply(status, values[1], _refusal(values[2:]))
    if _bare(values, 4):
        return SubmitReply(status, values[1])
    return SubmitReply(status, values[1], None, values[2].decode(), values[3])


def result(values: list[Any]) -> ResultReply:
    status = Status(values[0])
    if status is not Status.OK:
        return ResultReply(status, values[1])
    return ResultReply(status, values[1], values[2].decode(), values[3])


def throttled(values: list[Any]) -> ThrottleReply:
    if _bare(values, 4):
        return ThrottleReply(Status(values[0]), values[1])
    return ThrottleReply(Status(values[0]), values[1], values[2] / 1e6, values[3])


def _standing(row: list[Any]) -> Standing:
    scope, limit, mode, period, *money, cap, held, rate, rate_period, wait = row
    spent, unsettled, reserved, over = (int(part) / 1000 for part in money)
    span = period.decode()
    return Standing(
        scope=scope.decode(),
        limit=int(limit) / 1000 if limit else None,
        mode=mode.decode(),
        period=str(int(span) / 1e6) if span.isdigit() else span,
        spent=spent,
        unsettled=unsettled,
        reserved=reserved,
        over=over,
        cap=int(cap) if cap else None,
        held=int(held),
        rate=int(rate) / 1000 if rate else None,
        rate_period=int(rate_period or 0) / 1e6,
        rate_wait=wait / 1e6,
    )


def standing(values: list[Any]) -> StandingReply:
    return StandingReply(Status(values[0]), values[1], tuple(map(_standing, values[2:])))


def denied(values: list[Any]) -> tuple[str, ...]:
    """Of `rights`: the Redis commands that are."""
    return tuple(name.decode() for name in values[2:])


def opened(values: list[Any]) -> OpenReply:
    status = Status(values[0])
    if status is Status.MISMATCH:
        return OpenReply(status, values[1], field=values[2].decode(), stored=values[3].decode())
    if status is Status.REFUSED:
        return OpenReply(status, values[1], field=values[2].decode(), stored=str(values[3]))
    if status is not Status.OK:
        return OpenReply(status, values[1])
    return OpenReply(status, values[1], _config(values[2:16]), values[16])


def heartbeat(values: list[Any]) -> HeartbeatReply:
    if values[0] != Status.OK:
        return HeartbeatReply(Status(values[0]), values[1])
    if not all(type(value) is int for value in values):
        raise TypeError("not numbers only")
    _, serial, lease, version, delivered, fence, more, wake = values
    return HeartbeatReply(
        Status.OK, serial, lease / 1e6, version, delivered, fence, more == 1, wake
    )


def with_grants(values: list[Any]) -> GrantsReply:
    return GrantsReply(Status(values[0]), values[1], _grants(values[2:]))


def acquired(values: list[Any]) -> AcquireReply:
    if _bare(values, 3):
        return AcquireReply(Status(values[0]), values[1])
    if values[0] == Status.REFUSED:
        return AcquireReply(Status.REFUSED, values[1], refusal=_refusal(values[2:]))
    status, serial, tick, wake, depth, *grants = values
    return AcquireReply(_STATUSES[status], serial, tick, wake, depth / 1000, _grants(grants))


def released(values: list[Any]) -> ReleaseReply:
    if _bare(values, 4):
        return ReleaseReply(Status(values[0]), values[1])
    status, serial, tick, cost, held, *grants = values
    return ReleaseReply(_STATUSES[status], serial, tick, cost / 1000, held, _grants(grants))


def completed(values: list[Any]) -> CompleteReply:
    if _bare(values, 5):
        return CompleteReply(Status(values[0]), values[1])
    status, serial, tick, cost, held, wake, *grants = values
    cost = cost / 1000
    return CompleteReply(_STATUSES[status], serial, tick, cost, held, _grants(grants), wake)


def reconfigured(values: list[Any]) -> ReconfigureReply:
    if _bare(values, 16):
        return ReconfigureReply(Status(values[0]), values[1])
    config = _config(values[2:16])
    return ReconfigureReply(Status(values[0]), values[1], config, _grants(values[16:]))


def settled(values: list[Any]) -> SettleReply:
    cost = 0.0 if _bare(values, 3) else values[2] / 1000
    return SettleReply(Status(values[0]), values[1], cost)


def closed(values: list[Any]) -> CloseReply:
    return CloseReply(Status(values[0]), values[1], not _bare(values, 3) and values[2] == 1)


def reaped(values: list[Any]) -> ReapReply:
    if _bare(values, 5):
        return ReapReply(Status(values[0]), values[1])
    return ReapReply(Status(values[0]), values[1], values[2], values[3] == 1, values[4])


def polled(values: list[Any]) -> PollReply:
    if _bare(values, 4):
        return PollReply(Status(values[0]), values[1])
    status, serial, delivered, after, *rows = values
    return PollReply(
        Status(status),
        serial,
        delivered,
        after.decode(),
        _grants([row for row in rows if b"|" in row]),
        tuple(int(row) for row in rows if b"|" not in row),
    )


def _agent(row: list[Any]) -> AgentSnapshot:
    agent, agent_type, registered, q, dmax, score, queued, waiting, holding = row
    return AgentSnapshot(
        agent_id=agent.decode(),
        agent_type=agent_type.decode(),
        registered=registered == 1,
        queue_depth_weighted=q / 1000,
        dmax=dmax,
        score=float(score),
        queued=queued,
        waiting=waiting,
        holding=holding,
    )


def agent(values: list[Any]) -> AgentReply:
    row = _agent(values[2]) if len(values) > 2 else None
    return AgentReply(Status(values[0]), values[1], row)


def _holder(row: list[Any]) -> Holder:
    slot, token, agent, rid, task, weight, attempt, waited, score, age = row
    return Holder(
        slot=int(slot),
        token=int(token),
        agent_id=agent.decode(),
        session=rid.decode().partition(":")[0],
        request_id=rid.decode(),
        task_id=task.decode() or None,
        weight=weight / 1000,
        attempt=int(attempt),
        waited_ticks=int(waited),
        score=float(score),
        age=age / 1e6,
    )


def _waiter(row: list[Any]) -> Waiter:
    agent, rid, weight, waited, _seq, age = row
    return Waiter(
        agent_id=agent.decode(),
        session=rid.decode().partition(":")[0],
        request_id=rid.decode(),
        weight=weight / 1000,
        waited_ticks=waited,
        age=age / 1e6,
    )


def _session(row: list[Any]) -> SessionSnapshot:
    session, info, left = row
    host, _, pid = info.decode().rpartition("|")
    return SessionSnapshot(session.decode(), host, int(pid or 0), max(left, 0) / 1e6)


# Of the snapshot script, in its order.
_NUMBERS = (
    "tick", "alpha", "set_alpha", "capacity", "max_waiters", "lease", "version", "peak", "granted",
    "released", "reclaimed", "effective_capacity", "paused_for", "requests_left", "tokens_left",
    "quiet", "lease_clock", "held", "waiting", "serving", "competing", "registered",
    "live_sessions", "durable_tasks", "dead_tasks", "delayed_tasks", "server_time", "born",
    "rpm", "rpm_burst", "tpm", "tpm_burst", "adaptive_capacity", "auto_tune", "events", "paused",
)  # fmt: skip
_MICROS = ("paused_for", "quiet", "lease_clock", "server_time", "born")
_RATES = {"requests_left": "rpm", "tokens_left": "tpm"}
_FLAGS = ("adaptive_capacity", "auto_tune", "paused")


def snapshot(name: str, values: list[Any]) -> SnapshotReply:
    status = Status(values[0])
    if status is not Status.OK:
        return SnapshotReply(status, values[1])
    _, serial, numbers, agents, holders, waiters, sessions = values
    told: dict[str, Any] = dict(zip(_NUMBERS, numbers, strict=True))
    most, lease = told.pop("max_waiters"), told.pop("lease")
    told |= {name: float(told[name]) for name in ("alpha", "set_alpha")}
    told |= {name: told[name] / 1e6 for name in _MICROS}
    told |= {name: told[name] == 1 for name in _FLAGS}
    told |= {name: told[name] * told[rate] / 60e6 for name, rate in _RATES.items()}
    return SnapshotReply(
        status,
        serial,
        Snapshot(
            name=name,
            serial=serial,
            max_waiters=None if most < 0 else most,
            lease_ttl=lease / 1e6,
            **told,
            agents=tuple(map(_agent, agents)),
            holders=tuple(sorted(map(_holder, holders), key=lambda holder: holder.slot)),
            waiters=tuple(map(_waiter, sorted(waiters, key=lambda row: row[4]))),
            sessions=tuple(map(_session, sessions)),
        ),
    )
