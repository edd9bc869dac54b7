"""The state of the model in the form in which Redis holds it, comparable with `dump.parse`."""

from __future__ import annotations

from dataclasses import fields

from loco_redis.testing import model_pacing as pacing
from loco_redis.testing.dump import Dump, Entry
from loco_redis.testing.model_money import members
from loco_redis.testing.model_rules import SIGNALS, features, is_closed, place_of
from loco_redis.testing.model_sessions import PACE
from loco_redis.testing.model_state import (
    DEAD,
    LATER,
    QUEUED,
    DurableTask,
    Event,
    Load,
    Request,
    Session,
    State,
    Terms,
    held_by,
    sequence_of,
    session_of,
)


def dump(state: State) -> Dump:
    """Every key of `lua/README.md`, each computed from the facts."""
    loads = state.loads()
    ready, parked, lines = _homes(state, loads)
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
        tasks={task.rid.encode(): _task(state, task) for task in state.tasks.values()},
        bodies={task.rid.encode(): task.body for task in state.tasks.values() if task.body},
        queue=_queue(state, loads),
        loads={agent: _load(state, agent, load) for agent, load in loads.items()},
        agents={agent: kind.encode() for agent, kind in state.agents.items()},
        depth={agent: load.q for agent, load in loads.items()},
        ready=ready,
        parked=parked,
        slots=frozenset(lease.slot for _, lease in state.holders()),
        holders={b"%d" % lease.slot: row.rid.encode() for row, lease in state.holders()},
        dead={t.rid.encode(): t.died for t in state.tasks.values() if t.state == DEAD},
        costs={agent: b"%d" % cost for agent, cost in state.costs.items()},
        unsettled={
            b"%016d|%d|%b|%b" % (token, terms.cost, terms.flags.encode(), agent): 0
            for token, (terms, agent) in state.unsettled.items()
        },
        rules=dict(state.rules),
        accounts=_accounts(state),
        lines=lines,
        tallies=_tallies(state),
        alerts=tuple(state.alerts),
        events=tuple(map(_event, state.log)),
        later={t.rid.encode(): t.due for t in state.tasks.values() if t.state == LATER},
        timers={name.encode(): at for name, at in state.timers.items()},
        orders=_orders(state),
        idle={},
        index={},
        buckets={},
    )


def _homes(
    state: State, loads: dict[bytes, Load]
) -> tuple[dict[bytes, float], dict[bytes, float], dict[bytes, float]]:
    """Who is in `ready`, `parked` and `lines`."""
    ready: dict[bytes, float] = {}
    parked: dict[bytes, float] = {}
    lines: dict[bytes, float] = {}
    for agent, load in sorted(loads.items(), key=lambda row: row[1].seq):
        place = place_of(state, agent, load)
        if not load.is_candidate or place.is_capped:
            parked[agent] = load.seq
        elif place.tenant is None:
            ready[agent] = load.seq
        else:
            if not any(member.startswith(place.tenant + b"\0") for member in lines):
                zone = parked if is_closed(state, place.tenant) else ready
                zone[agent] = load.seq
            lines[b"%b\0%016d%b" % (place.tenant, load.seq, agent)] = 0
    return ready, parked, lines


def _load(state: State, agent: bytes, load: Load) -> bytes:
    *numbers, terms, head = (getattr(load, f.name) for f in fields(load))
    place = place_of(state, agent, load).text
    return "|".join(map(str, (*numbers, place, terms.text if terms else "", head))).encode()


def _accounts(state: State) -> dict[bytes, bytes]:
    rows = {
        name: f"{a.spent}|{a.unsettled}|{a.reserved}|{a.over}|{a.window}|{a.period}"
        for name, a in state.accounts.items()
    }
    rows |= {b"r" + agent: str(at) for agent, at in state.rate_at.items()}
    for agent, trust in state.trust.items():
        counts = [trust.counts.get(name, 0) for name in SIGNALS]
        rows[b"s" + agent] = "|".join(map(str, (trust.score, trust.at, *counts)))
    rows |= {b"#s": str(len(state.trust))} if state.trust else {}
    slo = {b"o": state.slo.encode()} if state.slo else {}
    for field, value in state.rules.items():
        name = field[1:]
        if field[:1] == b"c":
            rows[b"h" + name] = str(held_by(state, b"a" + name))
        if field[:1] == b"t":
            most, _, cap = value.split(b"|")
            rows[b"n" + name] = str(len(members(state, name)) if most else 0)
            rows[b"H" + name] = str(held_by(state, field) if cap else 0)
    counted = {name: row.encode() for name, row in rows.items() if row != "0" or name[:1] == b"r"}
    return counted | slo


def _tallies(state: State) -> dict[bytes, bytes]:
    rows = {
        b"%b\0%b" % (dimension, value): b"%d" % amount
        for dimension, values in state.tallies.items()
        for value, amount in values.items()
    }
    counts = {b"#" + dimension: len(values) for dimension, values in state.tallies.items()}
    counts[b"#x"] = len(state.averages)
    rows |= {name: b"%d" % count for name, count in counts.items() if count}
    return rows | {b"x\0" + k: f"{v:.17g}".encode() for k, v in state.averages.items()}


def _vars(state: State) -> dict[bytes, bytes]:
    if state.config is None:
        return {}
    config = state.config
    numbers = {
        "schema": config.schema,
        "version": config.version,
        "born": config.born,
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
        "servers": len(state.servers()),
        "alarm": state.alarm,
    }
    texts = {name.encode(): b"%d" % number for name, number in numbers.items()}
    texts |= {name.encode(): b"%d" % value for name in PACE if (value := getattr(config, name))}
    texts |= {b"alpha": f"{config.alpha:.17g}".encode(), b"features": features(state).encode()}
    pacing_row = (state.requests_at, state.tokens_at, state.hold, state.effective, state.cut)
    if any(pacing_row) or state.told:
        texts[b"pacing"] = "|".join(map(str, (*pacing_row, state.told))).encode()
    if config.auto_tune:
        ages = pacing.ages(state)
        sums = (len(ages), sum(ages), sum(age * age for age in ages), pacing.total(state))
        row = (f"{state.alpha:.17g}", *sums, state.last_total)
        texts[b"tuning"] = "|".join(map(str, row)).encode()
    if state.tunings:
        texts[b"tunings"] = "".join(state.tunings).encode()
    return texts


def _session(state: State, name: str, session: Session) -> bytes:
    buried = (sequence_of(rid) for rid in state.tombstones if session_of(rid) == name)
    numbers = (session.deadline, session.floor, session.last, max(buried, default=0))
    return "|".join(map(str, (*numbers, session.delivered, session.info))).encode()


def _request(row: Request) -> bytes:
    lease = row.lease
    if lease is None:
        head = f"W|{row.lane}|{row.seq}|{row.tick}|{row.weight}|{row.since}|{_terms(row.terms)}|"
    else:
        settled = "" if lease.settled is None else lease.settled
        head = (
            f"G|{row.lane}|{lease.slot}|{lease.token}|{lease.weight}|{lease.attempt}|{lease.waited}"
            f"|{lease.score:.17g}|{settled}|{lease.since}|{lease.task or ''}|{_terms(lease.terms)}|"
        )
    return head.encode() + row.agent


def _event(event: Event) -> Entry:
    fields = {name.encode(): value for name, value in event.fields.items()}
    return b"%d-%d" % (event.serial, event.number), fields


def _terms(terms: Terms | None) -> str:
    return terms.text if terms else ""


def _orders(state: State) -> dict[bytes, bytes]:
    rows = {"k" + key.decode("latin1"): task.encode() for key, task in state.keys.items()}
    for task, order in state.orders.items():
        rows["o" + task] = b"%d|%d|%b" % (order.deadline, order.ttl, order.key)
        asking = "".join(session + "," for session in order.asking).encode()
        texts = {"e": order.why, "r": order.result, "w": asking or None}
        rows |= {letter + task: text for letter, text in texts.items() if text is not None}
    return {name.encode("latin1"): row for name, row in rows.items()}


def _task(state: State, task: DurableTask) -> bytes:
    flags = bool(task.body) + 2 * (task.rid in state.orders)
    head = (
        f"{task.state}|{task.seq}|{task.tick}|{task.weight}|{task.attempt}|{task.max_attempts}"
        f"|{flags}|{_terms(task.terms)}|"
    )
    return head.encode() + task.agent


def _queue(state: State, loads: dict[bytes, Load]) -> dict[bytes, float]:
    rows = [(r.agent, r.lane, r.seq, r.tick, r.rid) for r in state.waiting()]
    rows += [
        (t.agent, "d", t.seq, t.tick, t.rid) for t in state.tasks.values() if t.state == QUEUED
    ]
    heads = {load.head for load in loads.values()}
    return {
        b"%b\0%b%016d%012d%b" % (agent, lane.encode(), seq, tick, ident.encode()): 0
        for agent, lane, seq, tick, ident in rows
        if ident not in heads
    }
