"""What `loco-redis why` finds out."""

from __future__ import annotations

from dataclasses import dataclass

from loco_redis._replies import Standing
from loco_redis.cli._console import seconds
from loco_redis.cli._errors import Broken
from loco_redis.cli._rows import HolderRow, WaiterRow, holder_rows, waiter_rows
from loco_redis.errors import BackpressureError, UnknownAgentError
from loco_redis.governance._stored import left_of
from loco_redis.observe import Observer, explain
from loco_redis.observe.explain import Blocker, Ranked
from loco_redis.snapshots import Snapshot

_OWN_REQUESTS, _BEFORE, _HOLDERS = 5, 10, 10


@dataclass(frozen=True)
class LimitsRow:
    """What governance sets for the agent or its tenant, and how that stands: costs in units, `cap`
    and `held` in slots (counted where there is a cap), `rate` in tasks per `rate_period` seconds.
    Null: no such limit. `mode` of the budget: reject, alert or downgrade; `period`: day, month, a
    number of seconds, or empty."""

    scope: str
    name: str
    limit: float | None
    mode: str
    period: str
    spent: float
    unsettled: float
    reserved: float
    left: float | None
    cap: int | None
    held: int
    rate: float | None
    rate_period: float


@dataclass(frozen=True)
class WhyReport:
    """Why an agent waits.

    `state`: waiting, unserved (tasks are queued, and nobody asks for a slot to serve them),
    delayed (its tasks are not due yet), holding or idle. `reason` says it in a sentence,
    `blockers` what keeps a slot from it or would, the most important first. `max_depth` (weight)
    and `max_age` (ticks) are the maxima in L(i).
    `before`: who is granted first, `before_total` in number; `requests`: its own that wait, oldest
    first; `holders`: who holds the slots, for longest first; lists are cut short. `refusal`: what a
    new task of weight 1 would be refused with, null if it would be let in. `ranking`: with --all,
    all who compete.
    """

    resource: str
    agent_id: str
    state: str
    reason: str
    blockers: list[Blocker]
    alpha: float
    max_depth: float
    max_age: int
    standing: Ranked | None
    waiting_agents: int
    before: list[Ranked]
    before_total: int
    requests: list[WaiterRow]
    holding: int
    held: int
    capacity: int
    holders: list[HolderRow]
    limits: list[LimitsRow]
    refusal: str | None
    ranking: list[Ranked]


def fetch(observer: Observer, agent: str, everyone: bool) -> WhyReport:
    """The agents are read in pages, which may be of slightly different moments. The ranking is that
    of the present tick: a release makes every task a tick older, which can turn round two agents
    whose scores are close."""
    now = observer.snapshot()
    ranking, requests = observer.ranking(now), observer.requests(now)
    row = ranking.of(agent)
    holding = sum(holder.agent_id == agent for holder in requests.holders)
    delayed, due = observer.delayed(agent) if now.delayed_tasks else (0, None)
    if row is None and not holding and not delayed:
        _check_known(observer, agent)
    own, tenant = _standings(observer, agent)
    tokens = ranking.first.tokens if ranking.first else 1
    blockers = explain.blockers(now, tokens, own, tenant)
    before = ranking.before(row) if row and row.rank else ()
    served = sum(holder.task_id is not None for holder in requests.holders)
    reason = explain.reason(agent, row, blockers, len(before), holding, served)
    if row and row.rank is None:
        blockers.insert(0, Blocker("no_request", "nobody asks for a slot to serve its tasks"))
    if due is not None:
        blocker = _delay(delayed, max(due - now.server_time, 0.0))
        blockers.append(blocker)
        if row is None and not holding:
            reason = f"{agent} waits for nothing: {blocker.words}."
    sessions = observer.sessions(now)
    waiting = [waiter for waiter in requests.waiters if waiter.agent_id == agent]
    holders = sorted(requests.holders, key=lambda holder: -holder.age)
    return WhyReport(
        resource=observer.name,
        agent_id=agent,
        state="delayed" if row is None and not holding and delayed else _state(row, holding),
        reason=reason,
        blockers=blockers,
        alpha=ranking.alpha,
        max_depth=ranking.max_depth,
        max_age=ranking.max_age,
        standing=row,
        waiting_agents=ranking.waiting_agents,
        before=[*before[:_BEFORE]],
        before_total=len(before),
        requests=waiter_rows(waiting[:_OWN_REQUESTS], sessions),
        holding=holding,
        held=now.held,
        capacity=now.capacity,
        holders=holder_rows(holders[:_HOLDERS], sessions),
        limits=[limits for s in (own, tenant) if s and (limits := _limits_row(s))],
        refusal=_refusal(observer, agent, now, bool(blockers)),
        ranking=[*ranking.rows] if everyone else [],
    )


def _delay(tasks: int, left: float) -> Blocker:
    it = "1 task of it is delayed, and" if tasks == 1 else f"{tasks:,} tasks of it are delayed, one"
    return Blocker("delayed", f"{it} due in {seconds(left)}", round(left, 6))


def _check_known(observer: Observer, agent: str) -> None:
    """Raises Broken for an agent that nobody has heard of."""
    try:
        observer.agent(agent)
    except UnknownAgentError:
        refusal = observer.refusal(agent)
        also = f"; a new task would be refused: {refusal}" if refusal else ""
        raise Broken(
            f"{observer.name} knows no agent {agent!r}: nothing of it is queued, waits or "
            f"holds, and it is not registered (see `loco-redis agents`){also}"
        ) from None


def _standings(observer: Observer, agent: str) -> tuple[Standing, Standing | None]:
    """Of the agent, and of the tenant that its name says."""
    tenant, slash, _ = agent.partition("/")
    if not (slash and tenant):
        return observer.standings(f"a{agent}")[0], None
    own, tenants = observer.standings(f"a{agent}", f"t{tenant}")
    return own, tenants


def _refusal(observer: Observer, agent: str, now: Snapshot, is_blocked: bool) -> str | None:
    refusal = observer.refusal(agent)
    most = now.max_waiters
    if refusal is None and is_blocked and most is not None and now.waiting >= most:
        refusal = BackpressureError(now.name, now.waiting, most)
    return None if refusal is None else str(refusal)


def _state(row: Ranked | None, holding: int) -> str:
    if row is None:
        return "holding" if holding else "idle"
    return "unserved" if row.rank is None else "waiting"


_MODES = {"r": "reject", "a": "alert", "d": "downgrade"}


def _limits_row(s: Standing) -> LimitsRow | None:
    """None where nothing is set."""
    if s.limit is None and s.cap is None and s.rate is None:
        return None
    return LimitsRow(
        scope="agent" if s.scope[0] == "a" else "tenant",
        name=s.scope[1:],
        limit=s.limit,
        mode=_MODES.get(s.mode, ""),
        period=s.period,
        spent=s.spent,
        unsettled=s.unsettled,
        reserved=s.reserved,
        left=left_of(s),
        cap=s.cap,
        held=s.held,
        rate=s.rate,
        rate_period=s.rate_period,
    )
