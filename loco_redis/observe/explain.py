"""Why an agent waits: the ranking by L(i), and what keeps a slot from it. Pure: values in and out.

    L(i) = trust * (alpha * Q_i / max Q + (1 - alpha) * D_i / max D)

The maxima run over all agents that compete, the ranking over those of them that wait for a slot:
by requests of their own, or by their durable tasks while somebody serves any agent's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from loco_redis._replies import Standing
from loco_redis._rows import LoadRow
from loco_redis.snapshots import Snapshot

#: The place of an agent that holds as many slots as it may.
_AT_ITS_CAP = "c"


@dataclass(frozen=True, slots=True)
class Ranked:
    """One agent that competes.

    Attributes:
        rank: from 1, among those who wait; None where it has tasks queued and nobody asks for a
            slot to serve them.
        queue_depth_weighted, dmax: Q in units of weight, D in ticks.
        depth_term, age_term: alpha * Q / max Q, and (1 - alpha) * D / max D.
        trust: 0.8 to 1.2; 1.0 where trust is off, and where a cap hides it.
        score: L(i) as the scripts compute it, to the last bit.
        queued, waiting: tasks queued, requests waiting.
        capped: passed over, because it or its tenant holds as many slots as it may.
        tokens: LLM tokens that its oldest task is expected to need.
    """

    agent_id: str
    rank: int | None
    queue_depth_weighted: float
    dmax: int
    depth_term: float
    age_term: float
    trust: float
    score: float
    queued: int
    waiting: int
    capped: bool
    tokens: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """All who compete: those who wait in the order of their grants, then those who only have tasks
    queued. `max_depth` is in units of weight, `max_age` in ticks."""

    alpha: float
    max_depth: float
    max_age: int
    rows: tuple[Ranked, ...]

    def of(self, agent_id: str) -> Ranked | None:
        return next((row for row in self.rows if row.agent_id == agent_id), None)

    def before(self, row: Ranked) -> tuple[Ranked, ...]:
        """Who is granted a slot before it, unless something changes."""
        return tuple(
            other
            for other in self.rows
            if other.rank is not None and not other.capped and other.rank < (row.rank or 0)
        )

    @property
    def first(self) -> Ranked | None:
        """Who is granted the next slot."""
        return next((row for row in self.rows if row.rank is not None and not row.capped), None)

    @property
    def waiting_agents(self) -> int:
        return sum(row.rank is not None for row in self.rows)


def scopes_in_line(loads: Mapping[bytes, LoadRow], serving: int) -> list[str]:
    """Whose caps matter, as `t<tenant>` and `a<agent>`: of tenants whose agents wait, and of all
    whose tasks wait for those who serve any: their places do not say it."""
    found = {f"t{_tenant_of(load.place)}" for load in loads.values()} - {"t"}
    if serving:
        for agent, load in loads.items():
            if _is_parked(load):
                name = agent.decode(errors="replace")
                tenant, slash, _ = name.partition("/")
                found |= {f"a{name}", f"t{tenant}"} if slash and tenant else {f"a{name}"}
    return sorted(found)


def ranking(
    loads: Mapping[bytes, LoadRow],
    alpha: float,
    tick: int,
    closed: Collection[str] = (),
    serving: int = 0,
) -> Ranking:
    """The ranking at a tick. `closed` are the scopes that hold as many slots as they may, `serving`
    is how many wait for a task of any agent."""
    deepest = max((load.q for load in loads.values()), default=0)
    oldest = max((tick - load.tick for load in loads.values()), default=0)
    # The same sums in the same order as lua/include/search.lua: ties must be ties here, too.
    a = alpha / deepest if deepest else 0.0
    b = (1 - alpha) / oldest if oldest > 0 else 0.0
    scored = sorted(
        (
            (_is_parked(load) and not serving, -_score(load, a, b, tick), load.seq, agent)
            for agent, load in loads.items()
        )
    )
    rows = tuple(
        _ranked(agent, loads[agent], None if is_idle else place, a, b, tick, closed)
        for place, (is_idle, _, _, agent) in enumerate(scored, 1)
    )
    return Ranking(alpha, deepest / 1000, max(oldest, 0), rows)


def _score(load: LoadRow, a: float, b: float, tick: int) -> float:
    return load.trust * (a * load.q + b * max(tick - load.tick, 0))


def _ranked(
    agent: bytes,
    load: LoadRow,
    rank: int | None,
    a: float,
    b: float,
    tick: int,
    closed: Collection[str],
) -> Ranked:
    age = max(tick - load.tick, 0)
    name = agent.decode(errors="replace")
    tenant = name.partition("/")[0] if _is_parked(load) else _tenant_of(load.place)
    return Ranked(
        agent_id=name,
        rank=rank,
        queue_depth_weighted=load.q / 1000,
        dmax=age,
        depth_term=a * load.q,
        age_term=b * age,
        trust=load.trust,
        score=_score(load, a, b, tick),
        queued=load.bound + load.durable,
        waiting=load.bound + load.open,
        capped=load.place == _AT_ITS_CAP or f"a{name}" in closed or f"t{tenant}" in closed,
        tokens=load.terms.tokens if load.terms else 0,
    )


def _is_parked(load: LoadRow) -> bool:
    """It has durable tasks, and nobody who waits for one of them in particular."""
    return load.bound + load.open == 0


def _tenant_of(place: str) -> str:
    """Of `:tenant:percent`; empty without a capped one."""
    return place.split(":")[1] if place.startswith(":") else ""


@dataclass(frozen=True)
class Blocker:
    """What keeps a slot from the agent; `seconds` until that is over, where it is known.

    `kind`: paused, no_capacity, throttled, rate, agent_cap, tenant_cap, adaptive, no_slot,
    no_request (tasks are queued, and nobody asks for a slot to serve them), or delayed (they are
    not due yet).
    """

    kind: str
    words: str
    seconds: float | None = None


def blockers(
    now: Snapshot, tokens: int, agent: Standing | None, tenant: Standing | None
) -> list[Blocker]:
    """What keeps the agent from being granted a slot, the most important first; nothing where the
    next grant, which takes `tokens`, is only a question of who goes first."""
    found: list[Blocker] = []
    if now.paused:
        found.append(Blocker("paused", f"{now.name} is paused"))
    if now.capacity == 0:
        found.append(Blocker("no_capacity", f"the capacity of {now.name} is 0"))
    if now.paused_for > 0:
        words = f"a holder was throttled, so nothing is granted for {now.paused_for:.3g} s"
        found.append(Blocker("throttled", words, now.paused_for))
    if (wait := now.rate_wait(tokens)) > 0:
        rate = " and ".join(f"{n}={getattr(now, n)}" for n in ("rpm", "tpm") if getattr(now, n))
        words = f"the rate of {now.name} ({rate}) lets the next one through in {wait:.3g} s"
        found.append(Blocker("rate", words, wait))
    if agent is not None and agent.cap is not None and agent.held >= agent.cap:
        words = f"it holds {agent.held} of the {agent.cap} slots that it may"
        found.append(Blocker("agent_cap", words))
    if tenant is not None and tenant.cap is not None and tenant.held >= tenant.cap:
        words = (
            f"its tenant {tenant.scope[1:]} holds {tenant.held} of the {tenant.cap} slots "
            "that it may"
        )
        found.append(Blocker("tenant_cap", words))
    found += _slots(now)
    return found


def _slots(now: Snapshot) -> list[Blocker]:
    if 0 < now.capacity <= now.held:
        all_ = f"all {now.held} slots are held" if now.held > 1 else "the only slot is held"
        over = f"{now.held} slots are held, and the capacity is {now.capacity}"
        return [Blocker("no_slot", over if now.held > now.capacity else all_)]
    if 0 < now.effective_capacity <= now.held and now.effective_capacity < now.capacity:
        words = (
            f"since a holder was throttled {now.effective_capacity} of {now.capacity} slots "
            f"may be held, and {now.held} {'is' if now.held == 1 else 'are'}"
        )
        return [Blocker("adaptive", words)]
    return []


def reason(
    agent_id: str,
    row: Ranked | None,
    found: list[Blocker],
    before: int,
    held: int,
    served: int = 0,
) -> str:
    """One sentence: what the agent does, and why it does not get on. `served`: how many durable
    tasks of any agent run."""
    holds = f"it holds {_count(held, 'slot')}"
    if row is None:
        return f"{agent_id} waits for nothing: {holds}." if held else f"{agent_id} is idle."
    if row.rank is None:
        tasks = _count(row.queued, "task")
        verb = "is" if served == 1 else "are"
        busy = f" now: {_count(served, 'task')} {verb} being served" if served else ""
        return f"{agent_id} has {tasks} queued, and nobody asks for a slot to serve them{busy}."
    if not found and not before:
        return f"{agent_id} waits: it is next, and a slot is free; it is being granted."
    goes = "1 agent goes" if before == 1 else f"{before:,} agents go"
    order = f"{goes} before it" if before else "it is next"
    why = found[0].words if found else "slots are being granted"
    if row.capped:
        return f"{agent_id} waits: {why}."
    return f"{agent_id} waits: {why}; {order}."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
