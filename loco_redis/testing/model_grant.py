"""The choice and the life of a lease: `choose`, `grant_all`, `reclaim`, `give_back`, `withdraw`.

The choice is the formula and nothing else: all candidates are scored, the largest score wins, ties
go to the smallest head seq.
"""

from __future__ import annotations

from dataclasses import dataclass

from loco_redis.testing.model_state import (
    BOUND,
    DEAD,
    OPEN,
    QUEUED,
    RUNNING,
    DurableTask,
    Lease,
    Load,
    Request,
    State,
    sequence_of,
)

MAX_COSTS = 10_000
MAX_UNSETTLED = 10_000
OTHER = b"__other__"
IMPLICIT_WEIGHT = 1000


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
    task: str | None


def scores(state: State, loads: dict[bytes, Load]) -> dict[bytes, float]:
    """L(i) of every competing agent: `a * Q + b * D`, in IEEE doubles and in this order."""
    if not loads:
        return {}
    alpha = state.configured.alpha
    max_q = max(load.q for load in loads.values())
    max_d = state.tick - min(load.tick for load in loads.values())
    a = alpha / max_q
    b = (1 - alpha) / max_d if max_d else 0.0
    return {agent: a * load.q + b * (state.tick - load.tick) for agent, load in loads.items()}


def choose(state: State) -> tuple[bytes, float] | None:
    """The candidate with the largest score and that score; ties to the smallest head seq."""
    loads = state.loads()
    score = scores(state, loads)
    candidates = [agent for agent, load in loads.items() if load.is_candidate]
    if not candidates:
        return None
    winner = min(candidates, key=lambda agent: (-score[agent], loads[agent].seq))
    return winner, score[winner]


def grant_all(state: State, now: int) -> list[Granted]:
    """Grant while a slot is free and a candidate exists."""
    grants = []
    while len(state.holders()) < state.configured.capacity:
        choice = choose(state)
        if choice is None:
            break
        grants.append(_grant(state, *choice, now))
    return grants


def _grant(state: State, agent: bytes, score: float, now: int) -> Granted:
    request, task = _oldest(state, agent)
    served = task or request
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
    )
    state.granted += 1
    state.peak = max(state.peak, len(state.holders()))
    if request.session in state.sessions:
        state.sessions[request.session].delivered += 1
    return told(state, request)


def _oldest(state: State, agent: bytes) -> tuple[Request, DurableTask | None]:
    """What the agent serves next: its first bound request, or its first open one with a task."""
    bound = state.lane(agent, BOUND)
    pulling = state.lane(agent, OPEN)
    if not pulling:
        return bound[0], None
    task = state.queued_tasks(agent)[0]
    if bound and bound[0].seq < task.seq:
        return bound[0], None
    return pulling[0], task


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
        lease.task,
    )


def charge(state: State, agent: bytes, amount: int) -> None:
    """Add to an agent's cost, if there is anything; agents beyond the bound share one entry."""
    if amount == 0:
        return
    if agent not in state.costs and len(state.costs) >= MAX_COSTS:
        agent = OTHER
    state.costs[agent] = state.costs.get(agent, 0) + amount


def withdraw(state: State, request: Request) -> None:
    """A waiting request goes; a bound task goes with it."""
    del state.requests[request.rid]


def free(state: State, request: Request, lease: Lease) -> None:
    """A lease ends; its slot may be given on in the same script."""
    del state.requests[request.rid]
    state.freed.append(lease.slot)


def give_back(state: State, request: Request, lease: Lease) -> None:
    """A grant nobody used: the slot is free, a durable task is as it was, no tick passes."""
    free(state, request, lease)
    if lease.task:
        task = state.tasks[lease.task]
        task.state = QUEUED
        task.attempt -= 1


def reclaim(state: State, request: Request, lease: Lease) -> None:
    """The holder is gone: one tick, its reservation unsettled, its durable task back or dead."""
    free(state, request, lease)
    state.tick += 1
    state.reclaimed += 1
    if lease.settled is None:
        state.unsettled[lease.token] = (lease.weight, request.agent)
        if len(state.unsettled) > MAX_UNSETTLED:
            del state.unsettled[min(state.unsettled)]
    if lease.task:
        task = state.tasks[lease.task]
        worn_out = 0 < task.max_attempts <= task.attempt
        task.state = DEAD if worn_out else QUEUED
        task.died = state.tick if worn_out else 0
