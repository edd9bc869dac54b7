"""The verbs of sessions, agents and the configuration, and the upkeep that may be left to do.

Each function takes the turn and the operation and returns the reply of the script.
"""

from __future__ import annotations

from loco_redis import _replies as replies
from loco_redis._replies import Status
from loco_redis.testing import model_events as events
from loco_redis.testing import model_pacing as pacing
from loco_redis.testing import model_rules as rules
from loco_redis.testing import ops
from loco_redis.testing.model_money import members
from loco_redis.testing.model_state import NO_LIMIT, Config, Session, State, tenant_of
from loco_redis.testing.model_turn import UNITS, Turn

PACE = ("rpm", "rpm_burst", "tpm", "tpm_burst", "adaptive", "auto_tune", "events", "paused")
SETTINGS = ("capacity", "alpha", "max_waiters", *PACE)


def refusal(state: State, op: ops.Open) -> replies.OpenReply | None:
    """Why this session may not open; nothing at all is written then."""
    config = state.config
    if config is None:
        return replies.OpenReply(Status.UNCONFIGURED, 0) if op.capacity is None else None
    for name in ("capacity", "alpha", "lease", "max_waiters", *PACE):
        asked, stored = getattr(op, name), getattr(config, name)
        if asked is not None and asked != stored:
            text = f"{stored:.17g}" if name == "alpha" else str(stored)
            return replies.OpenReply(Status.MISMATCH, 0, field=name, stored=text)
    most = state.limits.sessions
    if op.session not in state.sessions and len(state.sessions) >= most:
        return replies.OpenReply(Status.REFUSED, 0, field="sessions", stored=str(most))
    return None


def configure(state: State, op: ops.Open, now: int) -> None:
    """The first of all sessions stores the configuration."""
    assert op.capacity is not None
    state.config = Config(
        capacity=op.capacity,
        alpha=0.25 if op.alpha is None else op.alpha,
        lease=op.lease or 10_000_000,
        max_waiters=NO_LIMIT if op.max_waiters is None else op.max_waiters,
        **{name: getattr(op, name) or 0 for name in PACE},
        born=now,
    )
    state.alpha = state.config.alpha
    state.raw = now


def open_(turn: Turn, op: ops.Open) -> replies.OpenReply:
    state = turn.state
    state.fence = max(state.fence, op.seen)
    session = state.sessions.setdefault(op.session, Session(op.info, 0))
    _renew(state, session)
    serial = turn.finish()
    return replies.OpenReply(Status.OK, serial, stored_config(state), session.delivered)


def heartbeat(turn: Turn, op: ops.Heartbeat) -> replies.HeartbeatReply:
    state = turn.state
    if not turn.enters(op):
        return replies.HeartbeatReply(Status.EXPIRED, turn.finish())
    session = state.sessions[op.session]
    _renew(state, session)
    return replies.HeartbeatReply(
        status=Status.OK,
        serial=turn.finish(),
        lease=state.configured.lease / 1e6,
        version=state.configured.version,
        delivered=session.delivered,
        fence=state.fence,
        more=reaping_is_left(state),
        wake=turn.wake(op.session),
    )


def register(turn: Turn, op: ops.Register) -> replies.RefusableReply:
    state = turn.state
    if not turn.enters(op):
        return replies.RefusableReply(Status.EXPIRED, turn.finish())
    if not turn.is_done(op):
        most_agents = state.limits.agents
        if op.agent not in state.agents and len(state.agents) >= most_agents:
            full = replies.Refusal("full", ("agents", str(most_agents)))
            return replies.RefusableReply(Status.REFUSED, turn.finish(), full)
        tenant = tenant_of(op.agent)
        most = state.rules.get(b"t" + (tenant or b""), b"||").split(b"|")[0]
        is_new = tenant and most and op.agent not in state.agents
        if tenant and is_new and len(members(state, tenant)) >= int(most):
            refusal = replies.Refusal("tenant_agents", (most.decode(),))
            return replies.RefusableReply(Status.REFUSED, turn.finish(), refusal)
        state.agents[op.agent] = op.agent_type
        turn.bury(op)
    return replies.RefusableReply(Status.OK, turn.finish())


def unregister(turn: Turn, op: ops.Unregister) -> replies.Reply:
    if not turn.enters(op):
        return replies.Reply(Status.EXPIRED, turn.finish())
    status = Status.OK
    if not turn.is_done(op):
        status = _forget(turn.state, op.agent)
        if status is Status.OK:
            turn.bury(op)
    return replies.Reply(status, turn.finish())


def _forget(state: State, agent: bytes) -> Status:
    holds = any(request.agent == agent for request, _ in state.holders())
    if holds or agent in state.loads():
        return Status.AGENT_BUSY
    if agent not in state.agents:
        return Status.UNKNOWN_AGENT
    del state.agents[agent]
    return Status.OK


def reconfigure(turn: Turn, op: ops.Reconfigure) -> replies.ReconfigureReply:
    state = turn.state
    if not turn.enters(op):
        return replies.ReconfigureReply(Status.EXPIRED, turn.finish())
    config, status = state.configured, Status.OK
    if not turn.is_done(op):
        if op.if_version not in (0, config.version):
            status = Status.CONFLICT
        else:
            _change(turn, op)
            turn.bury(op)
    serial = turn.finish()
    return replies.ReconfigureReply(status, serial, stored_config(state), turn.grants(op.session))


def _change(turn: Turn, op: ops.Reconfigure) -> None:
    state = turn.state
    config, tuned = state.configured, state.configured.auto_tune
    asked = {name: value for name in SETTINGS if (value := getattr(op, name)) is not None}
    for name, value in asked.items():
        setattr(config, name, value)
    config.version += 1
    if op.alpha is not None or not config.auto_tune:
        state.alpha = config.alpha
    if config.auto_tune and not tuned:
        state.last_total = pacing.total(state)
    if not config.adaptive:
        state.effective = state.cut = 0
    rules.follow_features(state)
    if not config.events:
        events.forget(state)
    if op.alpha is not None:
        asked["alpha"] = f"{op.alpha:.17g}"
    turn.record("reconfigured", version=config.version, by=op.session, **asked)


def close(turn: Turn, op: ops.Close) -> replies.CloseReply:
    state = turn.state
    state.fence = max(state.fence, op.seen)
    if op.session not in state.sessions:
        return replies.CloseReply(Status.FINISHED, turn.finish())
    turn.end_session(op.session, UNITS)
    return replies.CloseReply(Status.OK, turn.finish(), op.session in state.sessions)


def reap(turn: Turn, op: ops.Reap) -> replies.ReapReply:
    serial, wake = turn.finish(), turn.wake(op.session)
    return replies.ReapReply(Status.OK, serial, turn.reaped, reaping_is_left(turn.state), wake)


def reaping_is_left(state: State) -> bool:
    """Did the units run out before the reaping saw a deadline that has not come?"""
    return 0 < state.due <= state.vnow


def _renew(state: State, session: Session) -> None:
    session.deadline = state.vnow + state.configured.lease
    state.due = min(state.due or session.deadline, session.deadline)


def stored_config(state: State) -> replies.StoredConfig:
    """The configuration as replies tell it: lease in seconds, None for no limit."""
    config = state.configured
    limit = None if config.max_waiters < 0 else config.max_waiters
    return replies.StoredConfig(
        config.capacity,
        config.alpha,
        config.lease / 1e6,
        limit,
        config.version,
        **{name: getattr(config, name) for name in PACE},
        born=config.born,
    )
