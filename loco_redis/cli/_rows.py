"""Rows that several reading commands print, and the tables of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from loco_redis.cli._console import seconds, shown, table
from loco_redis.snapshots import Holder, SessionSnapshot, Waiter


@dataclass(frozen=True)
class HolderRow:
    """A lease and the process that holds it; `age` in seconds since the grant, `host` and `pid`
    empty and 0 where the session has just ended."""

    slot: int
    agent_id: str
    host: str
    pid: int
    age: float
    weight: float
    score: float
    waited_ticks: int
    token: int
    request_id: str
    task_id: str | None
    attempt: int


@dataclass(frozen=True)
class WaiterRow:
    """A waiting request and the process that waits; `age` in seconds since it joined the queue."""

    agent_id: str
    host: str
    pid: int
    age: float
    waited_ticks: int
    weight: float
    request_id: str


def holder_rows(holders: Iterable[Holder], sessions: Iterable[SessionSnapshot]) -> list[HolderRow]:
    processes = {session.session: session for session in sessions}
    return [
        HolderRow(
            slot=row.slot,
            agent_id=row.agent_id,
            host=_host(processes.get(row.session)),
            pid=_pid(processes.get(row.session)),
            age=round(row.age, 6),
            weight=row.weight,
            score=row.score,
            waited_ticks=row.waited_ticks,
            token=row.token,
            request_id=row.request_id,
            task_id=row.task_id,
            attempt=row.attempt,
        )
        for row in holders
    ]


def waiter_rows(waiters: Iterable[Waiter], sessions: Iterable[SessionSnapshot]) -> list[WaiterRow]:
    processes = {session.session: session for session in sessions}
    return [
        WaiterRow(
            agent_id=row.agent_id,
            host=_host(processes.get(row.session)),
            pid=_pid(processes.get(row.session)),
            age=round(row.age, 6),
            waited_ticks=row.waited_ticks,
            weight=row.weight,
            request_id=row.request_id,
        )
        for row in waiters
    ]


def _host(session: SessionSnapshot | None) -> str:
    return session.host if session else ""


def _pid(session: SessionSnapshot | None) -> int:
    return session.pid if session else 0


def process(host: str, pid: int) -> Text:
    return Text(f"{shown(host)}:{pid}" if host else "gone", style="" if host else "yellow")


def holders_table(rows: Sequence[HolderRow]) -> RenderableType:
    made = table("slot", "agent", "process", "for", "weight", "score", "waited", "token", left=3)
    for row in rows:
        made.add_row(
            str(row.slot),
            Text(shown(row.agent_id)),
            process(row.host, row.pid),
            seconds(row.age),
            f"{row.weight:g}",
            f"{row.score:.3f}",
            str(row.waited_ticks),
            str(row.token),
        )
    return made


def waiters_table(rows: Sequence[WaiterRow]) -> RenderableType:
    made = table("agent", "process", "for", "ticks", "weight", "request", left=2)
    for row in rows:
        made.add_row(
            Text(shown(row.agent_id)),
            process(row.host, row.pid),
            seconds(row.age),
            str(row.waited_ticks),
            f"{row.weight:g}" if row.weight else "task",
            row.request_id,
        )
    return made


def cut(made: RenderableType, rows: int, total: int) -> RenderableType:
    """A table, and how many rows it leaves out."""
    if rows >= total:
        return made
    return Group(made, Text(f"{total - rows:,} more: --limit {total}", style="dim"))
