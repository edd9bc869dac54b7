"""The choice and the life of a lease: `choose`, `grant_all`, `reclaim`, `give_back`, `withdraw`.

The choice is the formula and nothing else: all candidates are scored, the largest score wins, ties
go to the smallest head seq.
"""

from __future__ import annotations

from dataclasses import dataclass

from loco_redis.testing import model_pacing as pacing
from loco_redis.testing.model_events import record
from loco_redis.testing.model_money import post, refund
from loco_redis.testing.model_rules import may_run, place_of, touch
from loco_redis.testing.model_state import (
    BOUND,
    OPEN,
    RUNNING,
    SERVER,
    DurableTask,
    Lease,
    Load,
    Request,
    State,
    Terms,
    sequence_of,
    session_of,
)
from loco_redis.testing.model_tasks import put_back

MAX_COSTS = 10_000
MAX_UNSETTLED = 10_000
OTHER = b"__other__"


@dataclass(frozen=True, slots=True)
class Granted:
    """A grant as it is told: fields of the text in `lua/README.md`, weight in thousandths."""

    session: str
    sequence: int
    slot: int
    token: int
    weight: int
    attempt: int
    waited: int
    score: float
    has_body: bool
    flags: str
    task: str | None
    agent: bytes | None


def scores(state: State, loads: dict[bytes, Load]) -> dict[bytes, float]:
    """L(i) of every competing agent: `trust * (a * Q + b * D)`, in doubles and in this order."""
    if not loads:
        return {}
    alpha = state.alpha
    max_q = max(load.q for load in loads.values())
    max_d = state.tick - min(load.tick for load in loads.values())
    a = alpha / max_q
    b = (1 - alpha) / max_d if max_d else 0.0
    return {
        agent: place_of(state, agent, load).factor * (a * load.q + b * (state.tick - load.tick))
        for agent, load in loads.items()
    }


def choose(state: State) -> tuple[bytes, float] | None:
    """The candidate with the largest score and that score; ties to the smallest head seq."""
    loads = state.loads()
    score = scores(state, loads)
    candidates = [agent for agent, load in loads.items() if may_run(state, agent, load)]
    if not candidates:
        return None
    winner = min(candidates, key=lambda agent: (-score[agent], loads[agent].seq))
    return winner, score[winner]


def grant_all(state: State, now: int) -> list[Granted]:
    """Grant while a slot is free, a candidate exists and the rate allows; say until when not."""
    grants = []
    state.wake = 0
    while len(state.holders()) < pacing.limit(state) and state.waiting():
        wait, choice = pacing.pause(state), choose(state)
        if choice is None:
            break
        if not wait:
            wait = pacing.pause_for(state, _next_tokens(state, choice[0]))
        if wait:
            state.wake = state.vnow + wait
            break
        grants.append(_grant(state, *choice, now))
    return grants


def _next_tokens(state: State, agent: bytes) -> int:
    request, task = _oldest(state, agent)
    terms = (task or request).terms
    return terms.tokens if terms else 0


def designated(state: State) -> str:
    """The session that is told when to look again: of the oldest candidate's next request, or of
    the oldest that serves any agent."""
    loads = state.loads()
    agents = [a for a, load in loads.items() if load.is_candidate and may_run(state, a, load)]
    if not agents:
        return state.servers()[0].session
    agent = min(agents, key=lambda name: loads[name].seq)
    bound, pulling = state.lane(agent, BOUND), state.lane(agent, OPEN)
    load = loads[agent]
    if load.lane == BOUND:
        return session_of(load.head)
    return (pulling or bound)[0].session


def _grant(state: State, agent: bytes, score: float, now: int) -> Granted:
    request, task = _oldest(state, agent)
    served = task or request
    request.agent = agent
    if task:
        task.state = RUNNING
        task.attempt += 1
    state.fence = max(state.fence + 1, now)
    request.lease = Lease(
        slot=state.free_slot(),
        token=state.fence,
        weight=served.weight,
        attempt=task.attempt if task else 1,
        waited=state.tick - served.tick,
        score=score,
        since=now,
        task=task.rid if task else None,
        terms=served.terms,
    )
    pacing.take_rate(state, served.terms)
    touch(state, now, agent)
    state.granted += 1
    state.peak = max(state.peak, len(state.holders()))
    if request.session in state.sessions:
        state.sessions[request.session].delivered += 1
    _record_grant(state, now, request, request.lease)
    return told(state, request)


def _record_grant(state: State, now: int, request: Request, lease: Lease) -> None:
    record(
        state,
        now,
        "granted",
        request.agent,
        id=request.rid,
        task=lease.task or "",
        slot=lease.slot,
        token=lease.token,
        weight=lease.weight,
        score=f"{lease.score:.17g}",
        waited=lease.waited,
    )


def _oldest(state: State, agent: bytes) -> tuple[Request, DurableTask | None]:
    """What is served next of the agent: its first bound request; or its first task, by its first
    open request or by one that serves any agent."""
    bound, tasks = state.lane(agent, BOUND), state.queued_tasks(agent)
    pulling = state.lane(agent, OPEN) or state.servers()
    if not pulling or not tasks or (bound and bound[0].seq < tasks[0].seq):
        return bound[0], None
    return pulling[0], tasks[0]


def told(state: State, request: Request) -> Granted:
    """The grant of a granted request, as it is told to its session."""
    lease = request.lease
    assert lease is not None
    has_body = lease.task is not None and bool(state.tasks[lease.task].body)
    return Granted(
        request.session,
        sequence_of(request.rid),
        lease.slot,
        lease.token,
        lease.weight,
        lease.attempt,
        lease.waited,
        lease.score,
        has_body,
        lease.terms.flags if lease.terms else "",
        lease.task,
        request.agent if request.lane == SERVER else None,
    )


def charge(state: State, agent: bytes, amount: int) -> None:
    """Add to an agent's cost, if there is anything; agents beyond the bound share one entry."""
    if amount == 0:
        return
    if agent not in state.costs and len(state.costs) >= MAX_COSTS:
        agent = OTHER
    state.costs[agent] = state.costs.get(agent, 0) + amount


def withdraw(state: State, now: int, request: Request) -> None:
    """A waiting request goes; a bound task goes with it."""
    del state.requests[request.rid]
    refund(state, now, request.agent, request.terms)
    touch(state, now, request.agent)
    state.told = 0


def free(state: State, now: int, request: Request, lease: Lease) -> None:
    """A lease ends; its slot may be given on in the same script."""
    del state.requests[request.rid]
    state.freed.append(lease.slot)
    if b"c" + request.agent in state.rules:
        touch(state, now, request.agent)


def give_back(state: State, now: int, request: Request, lease: Lease) -> None:
    """A grant nobody used: the slot is free, a durable task is as it was, no tick passes."""
    free(state, now, request, lease)
    pacing.give_rate_back(state, lease.terms)
    if lease.settled is None:
        refund(state, now, request.agent, lease.terms)
    if lease.task:
        task = state.tasks[lease.task]
        task.attempt -= 1
        put_back(state, now, task, 0, b"")


def reclaim(state: State, now: int, request: Request, lease: Lease) -> None:
    """The holder is gone: one tick, its reservation unsettled, its durable task back or dead."""
    free(state, now, request, lease)
    state.tick += 1
    state.reclaimed += 1
    if lease.settled is None:
        terms = lease.terms or Terms(lease.weight, 0)
        cost = terms.cost
        post(state, now, request.agent, terms.flags, reserved=-cost, unsettled=cost)
        state.unsettled[lease.token] = (terms, request.agent)
        if len(state.unsettled) > MAX_UNSETTLED:
            del state.unsettled[min(state.unsettled)]
    if lease.task:
        put_back(state, now, state.tasks[lease.task], 0, b"h")
