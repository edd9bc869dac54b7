"""The state of the model in the form in which Redis holds it, comparable with `dump.parse`."""

from __future__ import annotations

from dataclasses import astuple

from loco_redis.testing.dump import Dump
from loco_redis.testing.model_state import (
    DEAD,
    QUEUED,
    DurableTask,
    Request,
    Session,
    State,
    sequence_of,
    session_of,
)


def dump(state: State) -> Dump:
    """Every key of `lua/README.md`, each computed from the facts."""
    loads = state.loads()
    candidates = {agent: load for agent, load in loads.items() if load.is_candidate}
    parked = {agent: load for agent, load in loads.items() if not load.is_candidate}
    return Dump(
        vars=_vars(state),
        sessions={
            name.encode(): _session(state, name, session)
            for name, session in state.sessions.items()
        },
        deadlines={name.encode(): s.deadline for name, s in state.sessions.items()},
        requests={rid.encode(): _request(row) for rid, row in state.requests.items()},
        owned={rid.encode(): 0 for rid in state.requests},
        tombstones={rid.encode(): 0 for rid in state.tombstones},
        tasks={task.rid.encode(): _task(task) for task in state.tasks.values()},
        bodies={task.rid.encode(): task.body for task in state.tasks.values() if task.body},
        queue=_queue(state),
        loads={agent: "|".join(map(str, astuple(load))).encode() for agent, load in loads.items()},
        agents={agent: kind.encode() for agent, kind in state.agents.items()},
        depth={agent: load.q for agent, load in loads.items()},
        ready={agent: load.seq for agent, load in candidates.items()},
        parked={agent: load.seq for agent, load in parked.items()},
        slots=frozenset(lease.slot for _, lease in state.holders()),
        holders={b"%d" % lease.slot: row.rid.encode() for row, lease in state.holders()},
        dead={t.rid.encode(): t.died for t in state.tasks.values() if t.state == DEAD},
        costs={agent: b"%d" % cost for agent, cost in state.costs.items()},
        unsettled={
            b"%016d|%d|%b" % (token, weight, agent): 0
            for token, (weight, agent) in state.unsettled.items()
        },
        index={},
        buckets={},
    )


def _vars(state: State) -> dict[bytes, bytes]:
    if state.config is None:
        return {}
    config = state.config
    numbers = {
        "schema": config.schema,
        "version": config.version,
        "capacity": config.capacity,
        "lease": config.lease,
        "max_waiters": config.max_waiters,
        "serial": state.serial,
        "tick": state.tick,
        "seq": state.seq,
        "fence": state.fence,
        "held": len(state.holders()),
        "waiting": len(state.waiting()),
        "peak": state.peak,
        "granted": state.granted,
        "released": state.released,
        "reclaimed": state.reclaimed,
        "raw": state.raw,
        "vnow": state.vnow,
        "due": state.due,
    }
    texts = {name.encode(): b"%d" % number for name, number in numbers.items()}
    return texts | {b"alpha": f"{config.alpha:.17g}".encode()}


def _session(state: State, name: str, session: Session) -> bytes:
    buried = (sequence_of(rid) for rid in state.tombstones if session_of(rid) == name)
    numbers = (session.deadline, session.floor, session.last, max(buried, default=0))
    return "|".join(map(str, (*numbers, session.delivered, session.info))).encode()


def _request(row: Request) -> bytes:
    lease = row.lease
    if lease is None:
        head = f"W|{row.lane}|{row.seq}|{row.tick}|{row.weight}|"
    else:
        settled = "" if lease.settled is None else lease.settled
        head = (
            f"G|{row.lane}|{lease.slot}|{lease.token}|{lease.weight}|{lease.attempt}|{lease.waited}"
            f"|{lease.score:.17g}|{settled}|{lease.since}|{lease.task or ''}|"
        )
    return head.encode() + row.agent


def _task(task: DurableTask) -> bytes:
    head = (
        f"{task.state}|{task.seq}|{task.tick}|{task.weight}|{task.attempt}|{task.max_attempts}"
        f"|{int(bool(task.body))}|"
    )
    return head.encode() + task.agent


def _queue(state: State) -> dict[bytes, float]:
    rows = [(r.agent, r.lane, r.seq, r.tick, r.rid) for r in state.waiting()]
    rows += [
        (t.agent, "d", t.seq, t.tick, t.rid) for t in state.tasks.values() if t.state == QUEUED
    ]
    heads = {load.head for load in state.loads().values()}
    return {
        b"%b\0%b%016d%012d%b" % (agent, lane.encode(), seq, tick, ident.encode()): 0
        for agent, lane, seq, tick, ident in rows
        if ident not in heads
    }
