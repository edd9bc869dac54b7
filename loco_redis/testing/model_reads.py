"""The reading verbs of `lua/README.md`: `poll`, `agent`, `snapshot`. They change nothing."""

from __future__ import annotations

from copy import copy

from loco_redis import _replies as replies
from loco_redis._replies import Status
from loco_redis.snapshots import AgentSnapshot, Holder, SessionSnapshot, Snapshot, Waiter
from loco_redis.testing import model_pacing as pacing
from loco_redis.testing import ops
from loco_redis.testing.model_grant import scores, told
from loco_redis.testing.model_state import DEAD, LATER, SERVER, State, sequence_of
from loco_redis.testing.model_turn import as_grant


def poll(state: State, op: ops.Poll) -> replies.PollReply:
    """What a session holds and waits for, from a rid on. Here one page holds it all."""
    if op.session not in state.sessions:
        return replies.PollReply(Status.EXPIRED, 0)
    mine = [request for request in state.requests_of(op.session) if request.rid > op.after]
    grants = tuple(as_grant(told(state, request)) for request in mine if request.lease)
    waiting = tuple(sequence_of(request.rid) for request in mine if not request.lease)
    delivered = state.sessions[op.session].delivered
    return replies.PollReply(Status.OK, state.serial, delivered, "", grants, waiting)


def agent(state: State, op: ops.Agent) -> replies.AgentReply:
    """One agent; UNKNOWN_AGENT if it is neither registered nor competing nor holding."""
    known = {row.agent_id: row for row in agents(state)}
    row = known.get(op.agent.decode())
    status = Status.OK if row else Status.UNKNOWN_AGENT
    return replies.AgentReply(status, state.serial, row)


def agents(state: State) -> tuple[AgentSnapshot, ...]:
    """Every agent that is registered, competes or holds, by name."""
    loads = state.loads()
    score = scores(state, loads)
    holding = [request.agent for request, _ in state.holders()]
    rows = []
    for name in sorted({*state.agents, *loads, *holding}):
        load = loads.get(name)
        rows.append(
            AgentSnapshot(
                agent_id=name.decode(),
                agent_type=state.agents.get(name, ""),
                registered=name in state.agents,
                queue_depth_weighted=load.q / 1000 if load else 0.0,
                dmax=state.tick - load.tick if load else 0,
                score=score.get(name, 0.0),
                queued=load.bound + load.durable if load else 0,
                waiting=load.bound + load.open if load else 0,
                holding=holding.count(name),
            )
        )
    return tuple(rows)


def holders(state: State, now: int) -> tuple[Holder, ...]:
    """The leases, by slot."""
    rows = [
        Holder(
            slot=lease.slot,
            token=lease.token,
            agent_id=request.agent.decode(),
            session=request.session,
            request_id=request.rid,
            task_id=lease.task,
            weight=lease.weight / 1000,
            attempt=lease.attempt,
            waited_ticks=lease.waited,
            score=lease.score,
            age=max(now - lease.since, 0) / 1e6,
        )
        for request, lease in state.holders()
    ]
    return tuple(sorted(rows, key=lambda row: row.slot))


def waiters(state: State, now: int) -> tuple[Waiter, ...]:
    """The waiting requests, oldest first."""
    return tuple(
        Waiter(
            agent_id=request.agent.decode(),
            session=request.session,
            request_id=request.rid,
            weight=request.weight / 1000,
            waited_ticks=state.tick - request.tick,
            age=max(now - request.since, 0) / 1e6,
        )
        for request in sorted(state.waiting(), key=lambda request: request.seq)
        if request.lane != SERVER
    )


def sessions(state: State) -> tuple[SessionSnapshot, ...]:
    """The sessions, the first to expire first."""
    rows = []
    for name, session in sorted(state.sessions.items(), key=lambda row: (row[1].deadline, row[0])):
        host, _, pid = session.info.rpartition("|")
        left = max(session.deadline - state.vnow, 0) / 1e6
        rows.append(SessionSnapshot(name, host, int(pid or 0), left))
    return tuple(rows)


def snapshot(state: State, _op: ops.Snapshot, now: int, name: str) -> replies.SnapshotReply:
    """Everything at once; the model knows no limit."""
    if state.config is None:
        return replies.SnapshotReply(Status.UNCONFIGURED, 0)
    config, state = state.config, copy(state)
    quiet = max(now - state.raw, 0)
    if quiet <= config.lease / 2:  # as the next writing script will have it
        state.vnow += quiet
    requests_left, tokens_left = pacing.left(state)
    return replies.SnapshotReply(
        Status.OK,
        state.serial,
        Snapshot(
            name=name,
            tick=state.tick,
            alpha=state.alpha,
            set_alpha=config.alpha,
            capacity=config.capacity,
            max_waiters=None if config.max_waiters < 0 else config.max_waiters,
            lease_ttl=config.lease / 1e6,
            **{name: getattr(config, name) for name in ("rpm", "rpm_burst", "tpm", "tpm_burst")},
            adaptive_capacity=bool(config.adaptive),
            auto_tune=bool(config.auto_tune),
            events=config.events,
            paused=bool(config.paused),
            version=config.version,
            serial=state.serial,
            born=config.born / 1e6,
            server_time=now / 1e6,
            peak=state.peak,
            granted=state.granted,
            released=state.released,
            reclaimed=state.reclaimed,
            effective_capacity=pacing.limit(state),
            paused_for=max(state.hold - state.vnow, 0) / 1e6,
            requests_left=requests_left,
            tokens_left=tokens_left,
            quiet=quiet / 1e6,
            lease_clock=state.vnow / 1e6,
            **_counts(state),
            agents=agents(state),
            holders=holders(state, now),
            waiters=waiters(state, now),
            sessions=sessions(state),
        ),
    )


def _counts(state: State) -> dict[str, int]:
    return {
        "held": len(state.holders()),
        "waiting": len(state.waiting()) - len(state.servers()),
        "serving": len(state.servers()),
        "competing": len(state.loads()),
        "registered": len(state.agents),
        "live_sessions": len(state.sessions),
        "durable_tasks": len(state.tasks),
        "dead_tasks": sum(task.state == DEAD for task in state.tasks.values()),
        "delayed_tasks": sum(task.state == LATER for task in state.tasks.values()),
    }
