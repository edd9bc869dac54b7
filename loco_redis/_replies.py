"""Replies of the scripts as frozen values; ``lua/README.md`` says what each field means.

Inside Redis weights and costs are integers in thousandths and times are microseconds; here they are
plain units and seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self

from loco_redis.models import AgentSnapshot, Holder, SessionSnapshot, Snapshot, Waiter


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


@dataclass(frozen=True, slots=True)
class Grant:
    """A slot given to one request: the same text in a reply and in a hint."""

    sequence: int
    slot: int
    token: int
    weight: float
    attempt: int
    waited_ticks: int
    score: float
    has_body: bool
    task_id: str | None

    @classmethod
    def parse(cls, text: bytes) -> Self:
        sequence, slot, token, weight, attempt, waited, score, has_body, task = text.split(b"|")
        return cls(
            int(sequence),
            int(slot),
            int(token),
            int(weight) / 1000,
            int(attempt),
            int(waited),
            float(score),
            has_body == b"1",
            task.decode() if task else None,
        )


@dataclass(frozen=True, slots=True)
class StoredConfig:
    """What Redis holds: lease in seconds, ``max_waiters`` None without a limit."""

    capacity: int
    alpha: float
    lease: float
    max_waiters: int | None
    version: int


@dataclass(frozen=True, slots=True)
class Reply:
    status: Status
    serial: int


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


@dataclass(frozen=True, slots=True)
class GrantsReply(Reply):
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class AcquireReply(Reply):
    tick: int = 0
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class ReleaseReply(Reply):
    tick: int = 0
    cost: float = 0.0
    grants: tuple[Grant, ...] = ()


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


@dataclass(frozen=True, slots=True)
class PollReply(Reply):
    delivered: int = 0
    after: str = ""
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentReply(Reply):
    agent: AgentSnapshot | None = None


@dataclass(frozen=True, slots=True)
class SnapshotReply(Reply):
    snapshot: Snapshot | None = None


def _grants(values: list[Any]) -> tuple[Grant, ...]:
    return tuple(map(Grant.parse, values))


def _config(values: list[Any]) -> StoredConfig:
    capacity, alpha, lease, max_waiters, version = values
    limit = None if int(max_waiters) < 0 else int(max_waiters)
    return StoredConfig(int(capacity), float(alpha), int(lease) / 1e6, limit, int(version))


def reply(values: list[Any]) -> Reply:
    return Reply(Status(values[0]), values[1])


def opened(values: list[Any]) -> OpenReply:
    status = Status(values[0])
    if status is Status.MISMATCH:
        return OpenReply(status, values[1], field=values[2].decode(), stored=values[3].decode())
    if status is not Status.OK:
        return OpenReply(status, values[1])
    return OpenReply(status, values[1], _config(values[2:7]), values[7])


def heartbeat(values: list[Any]) -> HeartbeatReply:
    if values[0] != Status.OK:
        return HeartbeatReply(Status(values[0]), values[1])
    _, serial, lease, version, delivered, fence, more = values
    return HeartbeatReply(Status.OK, serial, lease / 1e6, version, delivered, fence, more == 1)


def with_grants(values: list[Any]) -> GrantsReply:
    return GrantsReply(Status(values[0]), values[1], _grants(values[2:]))


def acquired(values: list[Any]) -> AcquireReply:
    if len(values) < 3:
        return AcquireReply(Status(values[0]), values[1])
    return AcquireReply(Status(values[0]), values[1], values[2], _grants(values[3:]))


def released(values: list[Any]) -> ReleaseReply:
    if len(values) < 4:
        return ReleaseReply(Status(values[0]), values[1])
    return ReleaseReply(
        Status(values[0]), values[1], values[2], values[3] / 1000, _grants(values[4:])
    )


def reconfigured(values: list[Any]) -> ReconfigureReply:
    if len(values) < 7:
        return ReconfigureReply(Status(values[0]), values[1])
    return ReconfigureReply(Status(values[0]), values[1], _config(values[2:7]), _grants(values[7:]))


def settled(values: list[Any]) -> SettleReply:
    return SettleReply(Status(values[0]), values[1], values[2] / 1000 if len(values) > 2 else 0.0)


def closed(values: list[Any]) -> CloseReply:
    return CloseReply(Status(values[0]), values[1], len(values) > 2 and values[2] == 1)


def reaped(values: list[Any]) -> ReapReply:
    if len(values) < 4:
        return ReapReply(Status(values[0]), values[1])
    return ReapReply(Status(values[0]), values[1], values[2], values[3] == 1)


def polled(values: list[Any]) -> PollReply:
    if len(values) < 4:
        return PollReply(Status(values[0]), values[1])
    return PollReply(
        Status(values[0]), values[1], values[2], values[3].decode(), _grants(values[4:])
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
    agent, rid, weight, waited, _seq = row
    return Waiter(
        agent_id=agent.decode(),
        session=rid.decode().partition(":")[0],
        request_id=rid.decode(),
        weight=weight / 1000,
        waited_ticks=waited,
    )


def _session(row: list[Any]) -> SessionSnapshot:
    session, info, left = row
    host, _, pid = info.decode().rpartition("|")
    return SessionSnapshot(session.decode(), host, int(pid or 0), max(left, 0) / 1e6)


def snapshot(name: str, values: list[Any]) -> SnapshotReply:
    status = Status(values[0])
    if status is not Status.OK:
        return SnapshotReply(status, values[1])
    _, serial, numbers, dead, agents, holders, waiters, sessions = values
    tick, alpha, capacity, max_waiters, lease, version, peak, granted, done, lost = numbers
    return SnapshotReply(
        status,
        serial,
        Snapshot(
            name=name,
            tick=tick,
            alpha=float(alpha),
            capacity=capacity,
            max_waiters=None if max_waiters < 0 else max_waiters,
            lease_ttl=lease / 1e6,
            version=version,
            serial=serial,
            peak=peak,
            granted=granted,
            released=done,
            reclaimed=lost,
            dead_tasks=dead,
            agents=tuple(map(_agent, agents)),
            holders=tuple(sorted(map(_holder, holders), key=lambda holder: holder.slot)),
            waiters=tuple(map(_waiter, sorted(waiters, key=lambda row: row[4]))),
            sessions=tuple(map(_session, sessions)),
        ),
    )
