"""The numbered invariants of `lua/README.md`, checked on a dump.

`check(dump)` after any script; `check_at_rest(dump)` when everybody is done;
`check_progress(before, after)` for two dumps of one scheduler in that order. Each raises
`InvariantViolation`, which names the number and the rows that break it.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from functools import lru_cache

from loco_redis._rows import (
    AccountRow,
    IndexMember,
    LoadRow,
    QueueMember,
    SessionRow,
    TaskRow,
    UnsettledRow,
)
from loco_redis.testing.dump import Dump

# Rows stay from one dump to the next, and several invariants ask for them.
_task_row = lru_cache(maxsize=1024)(TaskRow.parse)
_session_row = lru_cache(maxsize=1024)(SessionRow.parse)
_load_row = lru_cache(maxsize=1024)(LoadRow.parse)


class InvariantViolation(AssertionError):
    """`number` of the invariant, `rows` that break it."""

    def __init__(self, number: int, rows: list[str]) -> None:
        super().__init__(f"invariant {number}: " + "; ".join(rows[:10]))
        self.number = number
        self.rows = rows


def check(dump: Dump) -> None:
    """Invariants 1 to 9, which hold after any script."""
    if dump.vars:
        _raise_first(_ALWAYS, dump)
    elif left := [f.name for f in fields(dump) if getattr(dump, f.name)]:
        raise InvariantViolation(10, [f"{key} without vars" for key in left])


def check_at_rest(dump: Dump) -> None:
    """Invariants 1 to 10: nothing is queued, waiting or held, and nothing of it is left."""
    check(dump)
    _raise_first({10: at_rest}, dump)


def check_progress(before: Dump, after: Dump) -> None:
    """What two dumps of one scheduler must hold between them (1, 5, 6)."""
    if before.vars and after.vars:
        for number, rule in _BETWEEN.items():
            if rows := list(rule(before, after)):
                raise InvariantViolation(number, rows)


def _raise_first(rules: dict[int, Callable[[Dump], Iterable[str]]], dump: Dump) -> None:
    for number, rule in rules.items():
        try:
            rows = list(rule(dump))
        except (ValueError, KeyError, TypeError, struct.error) as error:
            rows = [f"unreadable row: {error!r}"]
        if rows:
            raise InvariantViolation(number, rows)


def _tasks(dump: Dump) -> dict[bytes, TaskRow]:
    return {task: _task_row(row) for task, row in dump.tasks.items()}


def _sessions(dump: Dump) -> dict[bytes, SessionRow]:
    return {session: _session_row(row) for session, row in dump.sessions.items()}


def _loads(dump: Dump) -> dict[bytes, LoadRow]:
    return {agent: _load_row(row) for agent, row in dump.loads.items()}


def _unequal(what: str, left: object, right: object) -> Iterator[str]:
    if left != right:
        yield f"{what}: {left!r} != {right!r}"


def leases_within_capacity(dump: Dump) -> Iterator[str]:
    """1. Leases, slots and holders agree and stay within a capacity that was never lowered."""
    leases = dump.leases
    slots = [lease.slot for lease in leases.values()]
    holders = {int(slot): rid for slot, rid in dump.holders.items()}
    yield from _unequal("held, leases", dump.number("held"), len(leases))
    yield from _unequal("slots held once", len(slots), len(set(slots)))
    yield from _unequal("slots, leases", dump.slots, set(slots))
    yield from _unequal("holders, leases", holders, {row.slot: rid for rid, row in leases.items()})
    if dump.number("version") == 1:
        capacity = dump.number("capacity")
        yield from (f"slot {slot} of capacity {capacity}" for slot in slots if slot >= capacity)


def queues_agree(dump: Dump) -> Iterator[str]:
    """2. Loads, depth, ready, parked and index hold exactly what the queue says."""
    yield from _loads_agree(dump)
    loads = _loads(dump)
    open_, closed = _homes(dump, loads)
    ready = {agent: load for agent, load in loads.items() if agent in open_}
    parked = {agent: load for agent, load in loads.items() if agent in closed}
    indexed = {a: load for a, load in loads.items() if _is_candidate(load)}
    yield from _unequal("depth", dump.depth, {agent: load.q for agent, load in loads.items()})
    yield from _unequal("ready", dump.ready, {agent: load.seq for agent, load in ready.items()})
    yield from _unequal("parked", dump.parked, {agent: load.seq for agent, load in parked.items()})
    lines = {b"%b\0%016d%b" % (_tenant(v), v.seq, a) for a, v in indexed.items() if _tenant(v)}
    yield from _unequal("lines", set(dump.lines), lines)
    yield from _index_agrees(dump, indexed)
    idle = {a: (v.tick, v.seq, v.q) for a, v in loads.items() if v.bound + v.open == 0}
    members = [IndexMember.parse(member) for member in dump.idle]
    top = 9 * 10**15
    yield from _unequal(
        "idle", {m.agent: (m.tick, m.seq, top - m.inverse_q) for m in members}, idle
    )
    yield from _unequal("idle once", len(members), len(idle))
    lexical = (dump.owned, dump.tombstones, dump.queue, dump.unsettled, dump.index, dump.lines)
    yield from (
        f"score of {m!r}" for zset in (*lexical, dump.idle) for m, score in zset.items() if score
    )


def _is_candidate(load: LoadRow) -> bool:
    return load.bound + load.open > 0 and load.place != "c"


def _tenant(load: LoadRow) -> bytes:
    """The capped tenant in whose line the agent stands, or nothing."""
    return load.place.split(":")[1].encode() if load.place.startswith(":") else b""


def _is_closed(dump: Dump, tenant: bytes) -> bool:
    """Does a capped tenant hold as many slots as it may?"""
    cap = dump.rules.get(b"t" + tenant, b"||").split(b"|")[2]
    return bool(cap) and int(dump.accounts.get(b"H" + tenant, b"0")) >= int(cap)


def _homes(dump: Dump, loads: dict[bytes, LoadRow]) -> tuple[set[bytes], set[bytes]]:
    """Who has to be in `ready`, who in `parked`: of a line the front alone."""
    ready, parked = set(), set()
    fronts: set[bytes] = set()
    for agent, load in sorted(loads.items(), key=lambda row: row[1].seq):
        tenant = _tenant(load)
        if not _is_candidate(load):
            parked.add(agent)
        elif not tenant:
            ready.add(agent)
        elif tenant not in fronts:
            fronts.add(tenant)
            (parked if _is_closed(dump, tenant) else ready).add(agent)
    return ready, parked


def _loads_agree(dump: Dump) -> Iterator[str]:
    requests, tasks, loads = dump.waiting, _tasks(dump), _loads(dump)
    queue = [QueueMember.parse(member) for member in dump.queue]
    queue += [QueueMember(a, v.lane, v.seq, v.tick, v.head) for a, v in loads.items()]
    queued = Counter((row.id, row.lane, row.agent, row.seq, row.tick) for row in queue)
    rows = [(i, r.lane, r.agent, r.seq, r.tick) for i, r in requests.items()]
    rows += [(i, "d", t.agent, t.seq, t.tick) for i, t in tasks.items() if t.state == "Q"]
    yield from _unequal("queue and heads, rows", queued, Counter(rows))
    weights = {i: row.weight for i, row in requests.items()}
    weights |= {i: task.weight for i, task in tasks.items()}
    terms = {i: row.terms for i, row in requests.items()}
    terms |= {i: task.terms for i, task in tasks.items()}
    for agent in {row.agent for row in queue}:
        mine = [row for row in queue if row.agent == agent]
        lanes = Counter(row.lane for row in mine)
        mine.sort(key=lambda row: row.seq)
        head = next((row for row in mine if row.lane != "o"), mine[0])
        total = sum(weights[row.id] for row in mine if row.lane != "o")
        counts = (lanes["b"], lanes["d"], lanes["o"])
        if not agent:  # requests that serve any agent have no load
            yield from _unequal("lanes of nobody", dict(lanes), {"s": dump.number("servers")})
            continue
        place = loads[agent].place if agent in loads else ""  # a rule of its own
        load = LoadRow(
            total, head.tick, head.seq, *counts, head.lane, weights[head.id], place,
            terms[head.id], head.id,
        )  # fmt: skip
        yield from _unequal(f"load of {agent!r}", loads.get(agent), load)


def _index_agrees(dump: Dump, ready: dict[bytes, LoadRow]) -> Iterator[str]:
    members = [IndexMember.parse(member) for member in dump.index]
    indexed = {row.agent: (row.tick, row.seq) for row in members}
    yield from _unequal("indexed once", len(members), len(indexed))
    heads = {agent: (load.tick, load.seq) for agent, load in ready.items()}
    yield from _unequal("index", indexed, heads)
    sums = {row.inverse_q + ready[row.agent].q for row in members if row.agent in ready}
    if len(sums) > 1:
        yield f"inverse Q does not mirror Q: {sums}"
    by_q = sorted((ready[row.agent].q, row.bucket[-4:]) for row in members if row.agent in ready)
    if [bucket for _, bucket in by_q] != sorted(bucket for _, bucket in by_q):
        yield f"buckets do not rise with Q: {by_q}"
    for bucket in dump.buckets:
        if bucket[:1] == b":" and _is_closed(dump, bucket.split(b":")[1]):
            yield f"bucket {bucket!r} of a tenant at its cap"
    for row in members:
        bound = dump.buckets.get(row.bucket)
        tenant = _tenant(ready[row.agent]) if row.agent in ready else b""
        if tenant and _is_closed(dump, tenant):
            continue
        if bound is None or bound > row.tick:
            yield f"bucket {row.bucket!r}: {bound} is no lower bound of head tick {row.tick}"
    if not dump.waiting and dump.buckets:
        yield f"buckets with nobody waiting: {dict(dump.buckets)}"


def one_state_each(dump: Dump) -> Iterator[str]:
    """3. Requests and durable tasks are in one state each, and counted once."""
    requests, leases, tasks = dump.waiting, dump.leases, _tasks(dump)
    yield from _unequal("waiting", dump.number("waiting"), len(requests))
    for agent, load in _loads(dump).items():
        if load.open > load.durable:
            yield f"{agent!r}: {load.open} open requests for {load.durable} durable tasks"
    running = Counter(lease.task for lease in leases.values() if lease.task)
    in_state = {s: {i for i, task in tasks.items() if task.state == s} for s in "QRDL"}
    yield from _unequal("running", dict(running), dict.fromkeys(in_state["R"], 1))
    yield from _unequal("dead", set(dump.dead), in_state["D"])
    yield from _unequal("later", set(dump.later), in_state["L"])
    yield from _unequal("states", len(tasks), sum(map(len, in_state.values())))
    bodies = {i for i, task in tasks.items() if task.has_body}
    yield from _unequal("bodies", set(dump.bodies), bodies)
    yield from _orders_agree(dump, tasks)
    yield from (f"{rid!r} lives and is buried" for rid in set(dump.requests) & set(dump.tombstones))


def _orders_agree(dump: Dump, tasks: dict[bytes, TaskRow]) -> Iterator[str]:
    """Every order is of a task, or of a result that is kept; nothing of it outlives that."""
    by_letter = {letter: set[bytes]() for letter in (b"o", b"e", b"r", b"w", b"k")}
    for field in dump.orders:
        by_letter[field[:1]].add(field[1:])
    orders, results = by_letter[b"o"], by_letter[b"r"]
    wanted = {ident for ident, task in tasks.items() if task.has_order}
    yield from _unequal("orders", orders, wanted | results)
    yield from (f"result of {ident!r}, which is not done" for ident in results & wanted)
    for ident in by_letter[b"e"] | by_letter[b"w"]:
        if ident not in wanted:
            yield f"{ident!r} has no order any more"
    keys = {dump.orders[b"k" + key] for key in by_letter[b"k"]}
    yield from (f"a key of {ident!r}, which has no order" for ident in keys - orders)
    timed = {timer[1:] for timer in dump.timers if timer[:1] == b"r"}
    yield from _unequal("results, their timers", results, timed)
    timed = {timer[1:] for timer in dump.timers if timer[:1] == b"x"}
    yield from (f"deadline of {ident!r}" for ident in timed - wanted)
    for ident in wanted - timed:
        if tasks[ident].state in "QL" and not dump.orders[b"o" + ident].startswith(b"0|"):
            yield f"nobody watches the deadline of {ident!r}"
    first = min((*dump.later.values(), *dump.timers.values()), default=0)
    if first and not 0 < dump.number("alarm") <= first:
        yield f"alarm {dump.number('alarm')} is no lower bound of {first:.0f}"


def owners_live(dump: Dump) -> Iterator[str]:
    """4. Rows, ownership entries and sessions name each other."""
    sessions = _sessions(dump)
    deadlines = {session: row.deadline for session, row in sessions.items()}
    yield from _unequal("sessions, deadlines", deadlines, dump.deadlines)
    yield from _unequal("owned, requests", set(dump.owned), set(dump.requests))
    for rid in {*dump.requests, *dump.tombstones}:
        name, _, sequence = rid.partition(b":")
        session = sessions.get(name)
        if session is None:
            yield f"{rid!r} has no session"
        elif rid in dump.requests and int(sequence) > session.last:
            yield f"{rid!r} is above the last request {session.last}"
        elif rid in dump.tombstones and not session.floor <= int(sequence) <= session.tombs:
            yield f"tombstone {rid!r} is not in {session.floor} to {session.tombs}"
    earliest, due = min(dump.deadlines.values(), default=0), dump.number("due")
    if earliest and not 0 < due <= earliest:
        yield f"due {due} is no lower bound of deadline {earliest:.0f}"


def tokens_rise(dump: Dump) -> Iterator[str]:
    """5. Tokens are unique and none is above the fence."""
    tokens = [lease.token for lease in dump.leases.values()]
    tokens += [UnsettledRow.parse(member).token for member in dump.unsettled]
    yield from (f"token {token} twice" for token, n in Counter(tokens).items() if n > 1)
    fence = dump.number("fence")
    yield from (f"token {token} above fence {fence}" for token in tokens if token > fence)


def ages_fit(dump: Dump) -> Iterator[str]:
    """6. No head and no wait began after the present tick; no seq was used that was not given; the
    log is in the order of the scripts."""
    tick, seq = dump.number("tick"), dump.number("seq")
    for member in map(QueueMember.parse, dump.queue):
        if not (0 <= member.tick <= tick and 0 < member.seq <= seq):
            yield f"{member.id!r}: tick {member.tick} of {tick}, seq {member.seq} of {seq}"
    yield from (
        f"{rid!r} waited {lease.waited} of {tick} ticks"
        for rid, lease in dump.leases.items()
        if not 0 <= lease.waited <= tick
    )
    ends = dump.number("released") + dump.number("reclaimed")
    yield from _unequal("tick, released + reclaimed", tick, ends)
    yield from _log_rises(dump)


def _log_rises(dump: Dump) -> Iterator[str]:
    if dump.events and not dump.number("events"):
        yield f"{len(dump.events)} events though none are kept"
    last, last_tick = (0, 0), 0
    for ident, entry in dump.events:
        serial, number = map(int, ident.split(b"-"))
        tick = int(entry[b"tick"])
        known = (dump.number("serial"), dump.number("tick"))
        if not (last < (serial, number) and serial <= known[0] and last_tick <= tick <= known[1]):
            yield f"event {ident!r} of tick {tick} after {last} of tick {last_tick}, now {known}"
        last, last_tick = (serial, number), tick


def charged_once(dump: Dump) -> Iterator[str]:
    """7. No cost is negative; a lease is held or unsettled, not both."""
    yield from (
        f"cost of {agent!r}: {cost!r}" for agent, cost in dump.costs.items() if int(cost) < 0
    )
    yield from _money_agrees(dump)
    held = {lease.token for lease in dump.leases.values()}
    rows = list(map(UnsettledRow.parse, dump.unsettled))
    yield from (f"token {row.token} is held and unsettled" for row in rows if row.token in held)
    yield from (f"unsettled cost {row.cost}" for row in rows if row.cost < 0)


def _money_agrees(dump: Dump) -> Iterator[str]:
    """What is reserved is what lives; nothing is beyond a limit that is not on record."""
    reserved: Counter[bytes] = Counter()
    live = [(t.agent, t.terms) for t in _tasks(dump).values() if t.state in "QL"]
    live += [(r.agent, r.terms) for r in dump.leases.values() if r.settled is None]
    live += [(r.agent, r.terms) for r in dump.waiting.values()]
    for agent, terms in live:
        for flag in set(terms.flags) & {"a", "t"} if terms else ():
            name = agent if flag == "a" else agent.partition(b"/")[0]
            reserved[flag.encode() + name] += terms.cost if terms else 0
    found = {n: AccountRow.parse(row) for n, row in dump.accounts.items() if n[:1] in b"at"}
    stored = {name: row.reserved for name, row in found.items() if row.reserved}
    yield from _unequal(
        "reserved, live reservations", stored, {k: v for k, v in reserved.items() if v}
    )
    default = dump.rules.get(b"b", b"|r|").split(b"|")[0]
    for name, row in found.items():
        if min(row.spent, row.unsettled, row.over) < 0:
            yield f"account {name!r}: {row}"
        limit = dump.rules.get(b"B" + name[1:], default)
        if name[:1] == b"t":
            limit = dump.rules.get(name, b"||").split(b"|")[1]
        used = row.spent + row.unsettled + row.reserved
        if limit and used > int(limit) + row.over:
            yield f"account {name!r}: {used} of {int(limit)}, {row.over} over"


def no_slot_idle(dump: Dump) -> Iterator[str]:
    """8. Never a free slot while a candidate exists, unless somebody was told when to look."""
    pacing = dump.vars.get(b"pacing", b"0|0|0|0|0|0").split(b"|")
    limit = 0 if dump.number("paused") else dump.number("capacity")
    if int(pacing[3]):
        limit = min(limit, int(pacing[3]) // 1000)
    free = limit - dump.number("held")
    if free > 0 and dump.ready and int(pacing[5]) <= dump.number("vnow"):
        yield f"{free} free slots, candidates {sorted(dump.ready)}"
    idle = [IndexMember.parse(member).agent for member in dump.idle if not _is_full(dump, member)]
    if free > 0 and dump.number("servers") and idle and int(pacing[5]) <= dump.number("vnow"):
        yield f"{free} free slots, {dump.number('servers')} serve any, tasks of {sorted(idle)}"


def _is_full(dump: Dump, member: bytes) -> bool:
    """Does the agent, or its tenant, hold as many slots as it may?"""
    agent = IndexMember.parse(member).agent
    cap, tenant = dump.rules.get(b"c" + agent), agent.partition(b"/")[0]
    full = cap is not None and int(dump.accounts.get(b"h" + agent, b"0")) >= int(cap)
    return full or (b"/" in agent and _is_closed(dump, tenant))


def grants_counted(dump: Dump) -> Iterator[str]:
    """9. A grant exists without its hint: it is counted for its session when it is made."""
    held, sessions = Counter(rid.partition(b":")[0] for rid in dump.leases), _sessions(dump)
    for session, count in held.items():
        delivered = sessions[session].delivered if session in sessions else 0
        if count > delivered:
            yield f"{session!r} holds {count}, was granted {delivered}"
    ended = dump.number("granted") - dump.number("held")
    if ended < dump.number("released") + dump.number("reclaimed"):
        yield f"{ended} leases ended, more were released and reclaimed"


def at_rest(dump: Dump) -> Iterator[str]:
    """10. Nothing is queued, waiting or held, and nothing of it is left."""
    dead = dict.fromkeys(dump.dead)
    yield from _unequal("tasks", set(dump.tasks), set(dead))
    yield from (f"body of {task!r}" for task in dump.bodies if task not in dead)
    for key in (
        "requests",
        "owned",
        "queue",
        "loads",
        "depth",
        "ready",
        "parked",
        "index",
        "lines",
        "idle",
        "later",
    ):
        yield from _unequal(key, len(getattr(dump, key)), 0)
    for key in ("buckets", "slots", "holders"):
        yield from _unequal(key, len(getattr(dump, key)), 0)
    for name in ("held", "waiting", "servers"):
        yield from _unequal(name, dump.number(name), 0)


def _growth_within_capacity(before: Dump, after: Dump) -> Iterator[str]:
    held = after.number("held")
    if held > after.number("capacity") and held > before.number("held"):
        yield f"held grows above capacity: {held} of {after.number('capacity')}"


def _new_tokens_rise(before: Dump, after: Dump) -> Iterator[str]:
    known = {lease.token for lease in before.leases.values()}
    fence = before.number("fence")
    for rid, lease in after.leases.items():
        if lease.token not in known and lease.token <= fence:
            yield f"{rid!r} was granted {lease.token} after fence {fence}"


def _clocks_rise(before: Dump, after: Dump) -> Iterator[str]:
    for name in ("tick", "vnow", "seq", "serial", "fence", "version", "peak", "granted"):
        if after.number(name) < before.number(name):
            yield f"{name} fell from {before.number(name)} to {after.number(name)}"


_ALWAYS: dict[int, Callable[[Dump], Iterable[str]]] = {
    1: leases_within_capacity,
    2: queues_agree,
    3: one_state_each,
    4: owners_live,
    5: tokens_rise,
    6: ages_fit,
    7: charged_once,
    8: no_slot_idle,
    9: grants_counted,
}
_BETWEEN: dict[int, Callable[[Dump, Dump], Iterable[str]]] = {
    1: _growth_within_capacity,
    5: _new_tokens_rise,
    6: _clocks_rise,
}
