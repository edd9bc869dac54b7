"""What the reference model keeps, and what follows from it.

Only facts are stored. Whatever `lua/README.md` keeps as a number for speed (Q, heads, the counts of
a load row, the free slot) is computed here from the facts each time it is asked for.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from loco_redis._limits import LIMITS, Limits

BOUND, DURABLE, OPEN, SERVER = "b", "d", "o", "s"
QUEUED, RUNNING, DEAD, LATER = "Q", "R", "D", "L"
NO_LIMIT = -1


@dataclass(slots=True)
class Config:
    """The stored configuration; lease in microseconds, max_waiters -1 for no limit, events the
    number to keep."""

    capacity: int
    alpha: float
    lease: int
    max_waiters: int
    version: int = 1
    schema: int = 1
    rpm: int = 0
    rpm_burst: int = 0
    tpm: int = 0
    tpm_burst: int = 0
    adaptive: int = 0
    auto_tune: int = 0
    events: int = 0
    paused: int = 0
    born: int = 0


class Terms(NamedTuple):
    """What a task was admitted with: cost reserved, tokens estimated, accounts and marks."""

    cost: int
    tokens: int
    flags: str = ""

    @property
    def text(self) -> str:
        return f"{self.cost}:{self.tokens}:{self.flags}"


@dataclass(slots=True)
class Account:
    """The money of an agent or tenant in its present window."""

    spent: int = 0
    unsettled: int = 0
    reserved: int = 0
    over: int = 0
    window: int = 0
    period: str = ""

    @property
    def used(self) -> int:
        return self.spent + self.unsettled + self.reserved


@dataclass(slots=True)
class Trust:
    """A score in thousandths as of `at`, and how often each signal was seen."""

    score: int
    at: int
    counts: dict[str, int]


@dataclass(slots=True)
class Session:
    """A live scheduler object: deadline on the lease clock, highest sequence that asked for a slot,
    number of grants ever made to it."""

    info: str
    deadline: int
    floor: int = 0
    last: int = 0
    delivered: int = 0


@dataclass(slots=True)
class Lease:
    """What a granted request holds; `task` is the durable task it runs, if any."""

    slot: int
    token: int
    weight: int
    attempt: int
    waited: int
    score: float
    since: int
    task: str | None
    terms: Terms | None = None
    settled: int | None = None


@dataclass(slots=True)
class Request:
    """A waiting request (`lease` is None) or a granted one. An open request has weight 0; `since`
    is TIME when it joined the queue."""

    rid: str
    lane: str
    seq: int
    tick: int
    weight: int
    since: int
    agent: bytes
    terms: Terms | None = None
    lease: Lease | None = None

    @property
    def session(self) -> str:
        return session_of(self.rid)


@dataclass(slots=True)
class Order:
    """What is said of a durable task beyond its queue; times in microseconds, 0 for none. `why` it
    failed last, the sessions `asking` for its `result` (None until it is done)."""

    deadline: int = 0
    ttl: int = 0
    key: bytes = b""
    why: bytes | None = None
    asking: list[str] = field(default_factory=list)
    result: bytes | None = None


@dataclass(slots=True)
class DurableTask:
    """A task from `submit`, with the id `rid`; `attempt` counts its starts, `died` is a tick, `due`
    the TIME at which a delayed one joins its queue."""

    rid: str
    seq: int
    tick: int
    weight: int
    max_attempts: int
    body: bytes
    agent: bytes
    terms: Terms | None = None
    state: str = QUEUED
    attempt: int = 0
    died: int = 0
    due: int = 0

    @property
    def lane(self) -> str:
        return DURABLE


class Event(NamedTuple):
    """An entry of the decision log: the `number`-th of the script that had this serial."""

    serial: int
    number: int
    fields: dict[str, bytes]


@dataclass(slots=True)
class Load:
    """What an agent has queued: Q, the counts of its lanes, and its oldest task, the head."""

    q: int
    tick: int
    seq: int
    bound: int
    durable: int
    open: int
    lane: str
    weight: int
    terms: Terms | None
    head: str

    @property
    def is_candidate(self) -> bool:
        return self.bound + self.open > 0


@dataclass(slots=True)
class State:
    """All of one scheduler, the counters as in `vars`. `config` is None on an empty server.

    `limits` are those of the scripts' build. `freed` are the slots that the present script has
    freed, in order, and `told_results` its hints about results. `alarm` is a lower bound of the
    next TIME at which something is due (0: none), `timers` by a letter and a task; `orders` outlive
    tasks whose results are kept, `keys` name their tasks. `wake` is when a slot that is free may be
    given, if that is not yet. `alpha` is the one in force, which may tune itself. `log` is never
    cut here; `kept` is how many of its last entries a server must still have.
    """

    config: Config | None = None
    limits: Limits = LIMITS
    serial: int = 0
    tick: int = 0
    seq: int = 0
    fence: int = 0
    peak: int = 0
    granted: int = 0
    released: int = 0
    reclaimed: int = 0
    raw: int = 0
    vnow: int = 0
    due: int = 0
    alarm: int = 0
    sessions: dict[str, Session] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)
    tasks: dict[str, DurableTask] = field(default_factory=dict)
    tombstones: set[str] = field(default_factory=set)
    agents: dict[bytes, str] = field(default_factory=dict)
    costs: dict[bytes, int] = field(default_factory=dict)
    unsettled: dict[int, tuple[Terms, bytes]] = field(default_factory=dict)
    freed: list[int] = field(default_factory=list)
    log: list[Event] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    keys: dict[bytes, str] = field(default_factory=dict)
    timers: dict[str, int] = field(default_factory=dict)
    told_results: list[tuple[str, str]] = field(default_factory=list)
    kept: int = 0
    # Governance
    rules: dict[bytes, bytes] = field(default_factory=dict)
    accounts: dict[bytes, Account] = field(default_factory=dict)
    rate_at: dict[bytes, int] = field(default_factory=dict)
    trust: dict[bytes, Trust] = field(default_factory=dict)
    percent: dict[bytes, int] = field(default_factory=dict)
    tallies: dict[bytes, dict[bytes, int]] = field(default_factory=dict)
    averages: dict[bytes, float] = field(default_factory=dict)
    alerts: list[bytes] = field(default_factory=list)
    slo: str = ""
    throttled: bool = False
    requests_at: int = 0
    tokens_at: int = 0
    hold: int = 0
    effective: int = 0
    cut: int = 0
    told: int = 0
    wake: int = 0
    alpha: float = 0.0
    last_total: int = 0
    tunings: list[str] = field(default_factory=list)

    @property
    def configured(self) -> Config:
        """The configuration of a server that has one."""
        assert self.config is not None
        return self.config

    @property
    def live(self) -> Iterator[str]:
        """Sessions whose deadline has not come."""
        return (name for name, session in self.sessions.items() if session.deadline > self.vnow)

    def requests_of(self, session: str) -> list[Request]:
        """What a session owns, in order of rid."""
        mine = (request for request in self.requests.values() if request.session == session)
        return sorted(mine, key=lambda request: request.rid)

    def waiting(self) -> list[Request]:
        return [request for request in self.requests.values() if request.lease is None]

    def servers(self) -> list[Request]:
        """Waiting requests that serve any agent, oldest first."""
        return self.lane(b"", SERVER)

    def holders(self) -> list[tuple[Request, Lease]]:
        return [(request, request.lease) for request in self.requests.values() if request.lease]

    def lane(self, agent: bytes, lane: str) -> list[Request]:
        """The agent's waiting requests of one lane, oldest first."""
        mine = (r for r in self.waiting() if r.agent == agent and r.lane == lane)
        return sorted(mine, key=lambda request: request.seq)

    def queued_tasks(self, agent: bytes) -> list[DurableTask]:
        """The agent's queued durable tasks, oldest first."""
        mine = (t for t in self.tasks.values() if t.agent == agent and t.state == QUEUED)
        return sorted(mine, key=lambda task: task.seq)

    def loads(self) -> dict[bytes, Load]:
        """The competing agents."""
        tasks: dict[bytes, list[Request | DurableTask]] = defaultdict(list)
        opens: Counter[bytes] = Counter()
        for request in self.waiting():
            if request.lane == OPEN:
                opens[request.agent] += 1
            elif request.lane == BOUND:
                tasks[request.agent].append(request)
        for task in self.tasks.values():
            if task.state == QUEUED:
                tasks[task.agent].append(task)
        return {agent: _load(mine, opens[agent]) for agent, mine in tasks.items()}

    def depth(self, agent: bytes) -> int:
        """Q of one agent, 0 if it has nothing queued."""
        queued = sum(r.weight for r in self.waiting() if r.agent == agent)
        return queued + sum(task.weight for task in self.queued_tasks(agent))

    def free_slot(self) -> int:
        """The slot that the present script freed last, if one below capacity, else the lowest."""
        held = {lease.slot for _, lease in self.holders()}
        capacity = self.configured.capacity
        slots: list[int] = [*reversed(self.freed), *range(capacity)]
        return next(slot for slot in slots if slot not in held and slot < capacity)


_seq = attrgetter("seq")


def _load(tasks: list[Request | DurableTask], opens: int) -> Load:
    head, lanes = min(tasks, key=_seq), [task.lane for task in tasks]
    return Load(
        q=sum([task.weight for task in tasks]),
        tick=head.tick,
        seq=head.seq,
        bound=lanes.count(BOUND),
        durable=lanes.count(DURABLE),
        open=opens,
        lane=head.lane,
        weight=head.weight,
        terms=head.terms,
        head=head.rid,
    )


def tenant_of(agent: bytes) -> bytes | None:
    """The tenant that an agent belongs to, by its name."""
    found = b"/" in agent and re.match(rb"([A-Za-z0-9_-]+)/.", agent, re.DOTALL)
    return found[1] if found else None


def held_by(state: State, scope: bytes) -> int:
    """Slots held by an agent (`a...`) or a tenant (`t...`)."""
    kind, name = scope[:1], scope[1:]
    agents = (request.agent for request, _ in state.holders())
    return sum((agent if kind == b"a" else tenant_of(agent)) == name for agent in agents)


def rid_of(session: str, sequence: int) -> str:
    """The id of a request, as the client mints it."""
    return f"{session}:{sequence:012d}"


def session_of(rid: str) -> str:
    return rid.partition(":")[0]


def sequence_of(rid: str) -> int:
    return int(rid.partition(":")[2])
