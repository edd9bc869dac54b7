"""One resource as it is: read in pages, so that looking at 10,000 agents blocks nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from loco_redis import _validate as validate
from loco_redis._replies import Standing
from loco_redis._rows import LeaseRow, LoadRow, RequestRow, SessionRow, TaskRow, request_row
from loco_redis._scripts import SCHEMA, Scripts
from loco_redis.errors import (
    ConfigMismatchError,
    LocoRedisError,
    UnknownAgentError,
    UnknownResourceError,
)
from loco_redis.governance._refusals import error_of
from loco_redis.observe import events, explain, orders
from loco_redis.observe.events import Event
from loco_redis.observe.explain import Ranking
from loco_redis.observe.link import Link
from loco_redis.observe.orders import Order
from loco_redis.snapshots import (
    AgentSnapshot,
    Holder,
    SessionSnapshot,
    Snapshot,
    TaskSnapshot,
    Waiter,
)

_SCOPES = 500  # looked at by one call
_STATES = {"Q": "queued", "L": "delayed", "R": "running", "D": "dead"}
_MOST_DELAYED = 1000  # looked at for those of one agent


class Requests(NamedTuple):
    """Holders by slot, waiters in the order in which they came. Who waits for a task of any agent
    (`serve`) is not among them: `Snapshot.serving` counts these."""

    holders: tuple[Holder, ...]
    waiters: tuple[Waiter, ...]


class Observer:
    """Reads the resource `name` over `link`. It writes nothing and needs no session.

    `snapshot` is one atomic look. The other lists are read in pages of a thousand: complete, but
    each row is as it was at some moment of the reading.
    """

    def __init__(self, link: Link, name: str) -> None:
        self.link, self.name = link, validate.resource_name(name)
        self._scripts = Scripts(self.name, link.endpoint.scripts)

    def __repr__(self) -> str:
        return f"<Observer of {self.name!r} at {self.link.where}>"

    def snapshot(self, limit: int = 0) -> Snapshot:
        """The numbers, and at most `limit` rows of each list.

        Raises:
            UnknownResourceError: nothing is stored under this name.
            ConfigMismatchError: another version of loco-redis has stored it.
        """
        found = self.link.run(self._scripts, self._scripts.snapshot(limit=limit)).snapshot
        if found is None:
            stored = self.link.call("HGET", self._scripts.keys.vars, "schema")
            if stored not in (None, b"%d" % SCHEMA):
                told = stored.decode(errors="replace")
                raise ConfigMismatchError.of_schema(self.name, told, SCHEMA)
            raise UnknownResourceError(self.name, self.link.where)
        return found

    def requests(self, now: Snapshot | None = None) -> Requests:
        """All who hold and all who wait."""
        now = now or self.snapshot()
        holders: list[Holder] = []
        waiters: list[tuple[int, Waiter]] = []
        for rid, raw in self.link.scan(self._scripts.keys.requests).items():
            row = request_row(raw)
            if isinstance(row, LeaseRow):
                holders.append(_holder(rid.decode(), row, now))
            elif row.lane != "s":
                waiters.append((row.seq, _waiter(rid.decode(), row, now)))
        return Requests(
            tuple(sorted(holders, key=lambda holder: holder.slot)),
            tuple(waiter for _, waiter in sorted(waiters, key=lambda pair: pair[0])),
        )

    def agents(
        self, now: Snapshot | None = None, requests: Requests | None = None, *, idle: bool = True
    ) -> list[AgentSnapshot]:
        """Every agent that is registered, competes or holds: the greatest score first, ties in the
        order in which they would be granted.

        Args:
            now, requests: what has been read already.
            idle: False leaves out those who neither compete nor hold. Then nobody is looked up
                among the registered: `agent_type` is empty and `registered` False for all.
        """
        now = now or self.snapshot()
        requests = requests or self.requests(now)
        loads = self.loads()
        types = self.link.scan(self._scripts.keys.agents) if idle else {}
        holding = Counter(holder.agent_id.encode() for holder in requests.holders)
        scores = {
            row.agent_id.encode(): row.score
            for row in explain.ranking(loads, now.alpha, now.tick).rows
        }
        names = sorted(
            {*loads, *types, *holding},
            key=lambda name: (
                -scores.get(name, -1.0),
                loads[name].seq if name in loads else 0,
                name,
            ),
        )
        return [
            _agent(name, types.get(name), loads.get(name), now, scores, holding[name])
            for name in names
        ]

    def loads(self) -> dict[bytes, LoadRow]:
        """The rows of all agents that compete."""
        rows = self.link.scan(self._scripts.keys.loads)
        return {agent: LoadRow.parse(row) for agent, row in rows.items()}

    def ranking(self, now: Snapshot | None = None) -> Ranking:
        """Who is granted next, and why: `explain.ranking` of rows that were read in pages, so they
        may be of slightly different moments."""
        now, loads = now or self.snapshot(), self.loads()
        scopes = explain.scopes_in_line(loads, now.serving)
        closed = {
            found.scope
            for start in range(0, len(scopes), _SCOPES)
            for found in self.standings(*scopes[start : start + _SCOPES])
            if found.cap is not None and found.held >= found.cap
        }
        return explain.ranking(loads, now.alpha, now.tick, closed, now.serving)

    def refusal(self, agent_id: str, weight: float = 1.0) -> LocoRedisError | None:
        """What a task of this weight would be refused with now; None: it would be let in. Nothing
        is reserved. A full queue (`max_waiters`) is not looked at."""
        agent, units = validate.agent_id(agent_id), validate.weight(weight)
        command = self._scripts.check(agent=agent, weight=units, given=b"")
        found = self.link.run(self._scripts, command).refusal
        return None if found is None else error_of(found, agent_id)

    def agent(self, agent_id: str) -> AgentSnapshot:
        """One agent, at once. Raises UnknownAgentError."""
        command = self._scripts.agent(agent=validate.agent_id(agent_id))
        found = self.link.run(self._scripts, command).agent
        if found is None:
            raise UnknownAgentError(agent_id)
        return found

    def sessions(self, now: Snapshot | None = None) -> list[SessionSnapshot]:
        """The first to expire first."""
        rows = {
            name.decode(): SessionRow.parse(row)
            for name, row in self.link.scan(self._scripts.keys.sessions).items()
        }
        clock = round((now or self.snapshot()).lease_clock * 1e6)
        found = []
        for name, row in rows.items():
            host, _, pid = row.info.decode(errors="replace").rpartition("|")
            left = max(row.deadline - clock, 0) / 1e6
            found.append(SessionSnapshot(name, host, int(pid or 0), left))
        return sorted(found, key=lambda session: (session.expires_in, session.session))

    def tasks(self, now: Snapshot | None = None) -> list[TaskSnapshot]:
        """All durable tasks, oldest first."""
        tick = (now or self.snapshot()).tick
        rows = {
            task_id.decode(): TaskRow.parse(row)
            for task_id, row in self.link.scan(self._scripts.keys.tasks).items()
        }
        return [
            TaskSnapshot(
                task_id=task_id,
                agent_id=row.agent.decode(errors="replace"),
                state=_STATES[row.state],
                weight=row.weight / 1000,
                age=max(tick - row.tick, 0),
                attempt=row.attempt,
                max_attempts=row.max_attempts,
                has_payload=row.has_body,
            )
            for task_id, row in sorted(rows.items(), key=lambda pair: pair[1].seq)
        ]

    def orders(self, tasks: Sequence[TaskSnapshot]) -> dict[str, Order]:
        """What is said of these tasks beyond their rows, by id."""
        delayed = {task.task_id for task in tasks if task.state == "delayed"}
        ids = [task.task_id for task in tasks]
        return orders.read_orders(self.link, self.name, ids, delayed)

    def delayed(self, agent_id: str) -> tuple[int, float | None]:
        """How many tasks of this agent are delayed, of the next thousand of all agents, and when
        the first is due, in seconds since the epoch by the server's clock."""
        return orders.first_due(self.link, self.name, agent_id.encode(), _MOST_DELAYED)

    def standings(self, *scopes: str) -> tuple[Standing, ...]:
        """What governance says of `a<agent>` or `t<tenant>`; of all with an account, if none is
        named."""
        packed = b"".join(b"%d|%b" % (len(raw), raw) for raw in map(str.encode, scopes))
        return self.link.run(self._scripts, self._scripts.standing(scopes=packed)).standings

    def events(
        self,
        since: float | None = None,
        count: int | None = 100,
        wanted: Callable[[Event], bool] | None = None,
    ) -> list[Event]:
        """The last decisions, oldest first; none where the log is off.

        Args:
            since: only those from this moment on, in seconds since the epoch.
            count: at most so many; None for all that are kept.
            wanted: only those that it is true of.
        """
        return events.newest(self.link, self._scripts.keys.events, since, count, wanted)

    def events_after(self, event_id: str, patience: float) -> list[Event]:
        """Those after an event ("0-0": from the beginning), at most a page of them; waits at most
        `patience` seconds for the first."""
        return events.follow(self.link, self._scripts.keys.events, event_id, patience)

    def last_event_id(self) -> str:
        """Of the newest event; "0-0" where there is none."""
        return events.last_id(self.link, self._scripts.keys.events)

    def born(self) -> int | None:
        """When the resource was first opened (microseconds): another one after the server was
        emptied; None while nothing is stored."""
        found = self.link.call("HGET", self._scripts.keys.vars, "born")
        return None if found is None else int(found)


def _holder(rid: str, row: LeaseRow, now: Snapshot) -> Holder:
    return Holder(
        slot=row.slot,
        token=row.token,
        agent_id=row.agent.decode(errors="replace"),
        session=rid.partition(":")[0],
        request_id=rid,
        task_id=row.task.decode() or None,
        weight=row.weight / 1000,
        attempt=row.attempt,
        waited_ticks=row.waited,
        score=row.score,
        age=max(now.server_time - row.since / 1e6, 0.0),
    )


def _waiter(rid: str, row: RequestRow, now: Snapshot) -> Waiter:
    return Waiter(
        agent_id=row.agent.decode(errors="replace"),
        session=rid.partition(":")[0],
        request_id=rid,
        weight=row.weight / 1000,
        waited_ticks=max(now.tick - row.tick, 0),
        age=max(now.server_time - row.since / 1e6, 0.0),
    )


def _agent(
    name: bytes,
    agent_type: bytes | None,
    load: LoadRow | None,
    now: Snapshot,
    scores: dict[bytes, float],
    holding: int,
) -> AgentSnapshot:
    return AgentSnapshot(
        agent_id=name.decode(errors="replace"),
        agent_type=(agent_type or b"").decode(errors="replace"),
        registered=agent_type is not None,
        queue_depth_weighted=load.q / 1000 if load else 0.0,
        dmax=max(now.tick - load.tick, 0) if load else 0,
        score=scores.get(name, 0.0),
        queued=load.bound + load.durable if load else 0,
        waiting=load.bound + load.open if load else 0,
        holding=holding,
    )
