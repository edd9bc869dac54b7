"""What readers see: agents, holders, waiters, tasks, sessions, the whole; each of one moment.

Weights are plain numbers, ages are ticks (one release each) or, where it says so, seconds.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AgentSnapshot:
    """One agent at one moment.

    Attributes:
        registered: whether it was registered explicitly.
        queue_depth_weighted: Q, the sum of the weights of its queued tasks.
        dmax: D, the age of its oldest queued task in ticks.
        score: L(i) now, 0.0 to 1.0, times trust where that counts; 0.0 when it does not compete.
        queued, waiting, holding: tasks queued, requests waiting, slots held.
    """

    agent_id: str
    agent_type: str
    registered: bool
    queue_depth_weighted: float
    dmax: int
    score: float
    queued: int
    waiting: int
    holding: int


@dataclass(frozen=True, slots=True)
class Holder:
    """A lease at one moment; `age` is seconds since its grant by the server's clock."""

    slot: int
    token: int
    agent_id: str
    session: str
    request_id: str
    task_id: str | None
    weight: float
    attempt: int
    waited_ticks: int
    score: float
    age: float


@dataclass(frozen=True, slots=True)
class Waiter:
    """A waiting request; `weight` is 0.0 for one that serves the agent's oldest durable task.
    `age` is seconds since it joined the queue by the server's clock."""

    agent_id: str
    session: str
    request_id: str
    weight: float
    waited_ticks: int
    age: float


@dataclass(frozen=True, slots=True)
class TaskSnapshot:
    """A durable task at one moment.

    Attributes:
        state: "queued", "delayed", "running" or "dead".
        age: ticks since it was submitted; a dead one's, too.
        attempt: starts so far; max_attempts: 0 for no limit.
        has_payload: whether anything is stored beside it: a payload, labels, attribution.
    """

    task_id: str
    agent_id: str
    state: str
    weight: float
    age: int
    attempt: int
    max_attempts: int
    has_payload: bool


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """One scheduler object of one process; it expires `expires_in` seconds from now."""

    session: str
    host: str
    pid: int
    expires_in: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole scheduler at one moment, as Redis has it. The lists may have been cut short; the
    numbers count everything.

    Attributes:
        tick: releases and reclaims so far, the resource's logical clock.
        alpha: in force now; set_alpha: as it was set, from where `auto_tune` moves it.
        lease_ttl: seconds.
        rpm, rpm_burst, tpm, tpm_burst, events: 0 without.
        paused: nothing is granted until somebody resumes.
        version: of the configuration; serial: of the last change of anything.
        born, server_time: seconds since the epoch by the server's clock: when the scheduler was
            first opened, and now.
        held, waiting: slots held and requests waiting; peak: most slots ever held at once.
        serving: requests that wait for a task of any agent: workers with nothing to do.
        granted, released, reclaimed: counters since the scheduler exists.
        competing, registered: agents with something queued, and agents registered.
        live_sessions: scheduler objects with a session.
        durable_tasks: queued, delayed, running and dead; dead_tasks: those that used up their
            attempts or missed their deadlines; delayed_tasks: those whose time has not come.
        effective_capacity: what may be held at present: less than capacity after a `throttled`,
            0 while paused.
        paused_for: seconds for which nothing is granted, because a holder was throttled.
        requests_left, tokens_left: what the resource's own rates let through at once now; below 0
            where more was used than was let through, 0.0 without a rate.
        quiet: seconds since any process changed anything; a live one does with each heartbeat.
        lease_clock: seconds; it counts while processes are heard of, and sessions live by it.
    """

    name: str
    tick: int
    alpha: float
    set_alpha: float
    capacity: int
    max_waiters: int | None
    lease_ttl: float
    rpm: int
    rpm_burst: int
    tpm: int
    tpm_burst: int
    adaptive_capacity: bool
    auto_tune: bool
    events: int
    paused: bool
    version: int
    serial: int
    born: float
    server_time: float
    held: int
    waiting: int
    serving: int
    peak: int
    granted: int
    released: int
    reclaimed: int
    competing: int
    registered: int
    live_sessions: int
    durable_tasks: int
    dead_tasks: int
    delayed_tasks: int
    effective_capacity: int
    paused_for: float
    requests_left: float
    tokens_left: float
    quiet: float
    lease_clock: float
    agents: tuple[AgentSnapshot, ...]
    holders: tuple[Holder, ...]
    waiters: tuple[Waiter, ...]
    sessions: tuple[SessionSnapshot, ...]

    @property
    def utilization(self) -> float:
        """Slots held / capacity; 0.0 where the capacity is 0."""
        return self.held / self.capacity if self.capacity else 0.0

    def rate_wait(self, tokens: int = 1) -> float:
        """Seconds until the resource's own rates let a task of so many tokens through."""
        requests = (1 - self.requests_left) * 60 / self.rpm if self.rpm else 0.0
        asked = min(tokens, self.tpm_burst) - self.tokens_left
        return max(requests, asked * 60 / self.tpm if self.tpm else 0.0, 0.0)

    @property
    def available_slots(self) -> int:
        return max(0, self.capacity - self.held)

    def desired_workers(
        self,
        *,
        slo: float = 30.0,
        concurrency: int = 8,
        min: int = 0,
        max: int | None = None,
        requests: bool = False,
    ) -> int:
        """How many workers, each doing `concurrency` tasks at once, this look asks for to work off
        what is queued within `slo` seconds; see `orchestration.scaling`, also for a better figure
        from several looks.

        Args:
            min, max: bounds; None: only the slots.
            requests: whether waiting requests and the leases of `acquire` count, too.

        Raises:
            ValueError: bad arguments.
        """
        # Built on top of the values of this module.
        from loco_redis.orchestration.scaling import Load, desired_workers

        load = Load.of(self, requests=requests)
        return desired_workers(load, slo=slo, concurrency=concurrency, min=min, max=max)
