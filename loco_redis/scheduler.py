"""AsyncLOCOScheduler: many processes on many hosts share one resource through Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from loco_redis import _log as decisions
from loco_redis import _validate as validate
from loco_redis._acquisition import AcquireHandle, Acquisition
from loco_redis._endpoint import AsyncClient, resolve
from loco_redis._fork import ForkGuard
from loco_redis._holding import Completed, Holding, Nested, Started, Wish
from loco_redis._open import open_schedulers
from loco_redis._orders import Moment, packed_order, value_of
from loco_redis._presence import Asked
from loco_redis._replies import Status
from loco_redis._session import Session
from loco_redis.backoff import Backoff
from loco_redis.config import Settings
from loco_redis.errors import (
    AgentBusyError,
    ConfigConflictError,
    ResultNotKeptError,
    ShutdownError,
    TaskExpiredError,
    TaskFailedError,
    TaskRunningError,
    UnknownAgentError,
    UnknownTaskError,
)
from loco_redis.governance import (
    BudgetManager,
    BudgetPolicy,
    PolicyEnforcer,
    SLOBudget,
    TrustScorer,
)
from loco_redis.governance._refusals import error_of
from loco_redis.governance._rules import cap, packed
from loco_redis.lease import Lease
from loco_redis.metrics import SchedulerMetrics
from loco_redis.models import Agent, SharedResource, Task, encode_body, given
from loco_redis.operations import Operations
from loco_redis.snapshots import AgentSnapshot, Snapshot

if TYPE_CHECKING:
    from loco_redis.orchestration.worker import Handler, Worker


class AsyncLOCOScheduler:
    """Grants the slots of one resource to the agents that need them most.

    Use it by `async with`, or just call it (it opens on first use) and `aclose()` it. It belongs
    to the event loop that opened it, and to the process: not to a forked child.

    Args:
        agents: registered when it opens; unknown agents need no registration.
        resource: what is shared (needed); its capacity None adopts what Redis has stored.
        redis: a URL, a redis.asyncio client (never closed), or None for LOCO_REDIS_URL,
            REDIS_URL, or an embedded server.
        optimize_for: "latency" (alpha 0), "balanced" (0.25) or "throughput" (0.5); or
        alpha: the weight of queue depth against age, 0 to 1. Neither: what is stored, else 0.25.
        max_waiters: more are refused by BackpressureError. None: what is stored, else no limit.
        lease_ttl: seconds after which a silent process loses its slots. None: stored, else 10.
        max_stall: seconds for which a blocked event loop keeps its leases.
        on_lost: "cancel" the body of a lost lease by LeaseLostError, or only "warn".
        strict: cancel as soon as the lease is uncertain, not only when Redis says it is lost.
        backend_timeout: seconds to try for when Redis does not answer.
        scripts: "eval", or "functions" for a user who may not run scripts of its own: an
            administrator has loaded them (docs/security.md). None: LOCO_REDIS_SCRIPTS, else "eval".
        on_task_started: called with the lease before the body runs; may be async.
        on_task_completed: called with the lease and the body's exception or None.
        budget: what agents may spend; `scheduler.budget` reads and changes it.
        enforcer: policies, those of Redis and your own.
        trust_scorer: how agents' records weigh in the choice.
        slo: what share of waits may be longer than a target.
        adaptive_capacity: hold fewer slots after `lease.throttled()`, more again as work succeeds.
        auto_tune: alpha follows how much waits differ and whether queues grow.
        events: keep about so many decisions in a log that `loco-redis events` shows; 0: none.
            All of these hold for the whole fleet, but for policies of your own.

    Raises:
        ValueError: bad arguments, in one line.
    """

    def __init__(
        self,
        agents: Iterable[Agent] = (),
        resource: SharedResource | None = None,
        *,
        redis: str | AsyncClient | None = None,
        optimize_for: str | None = None,
        alpha: float | None = None,
        max_waiters: int | None = None,
        lease_ttl: float | None = None,
        max_stall: float = 60.0,
        on_lost: str = "cancel",
        strict: bool = False,
        backend_timeout: float = 30.0,
        scripts: str | None = None,
        on_task_started: Started | None = None,
        on_task_completed: Completed | None = None,
        budget: BudgetPolicy | BudgetManager | None = None,
        enforcer: PolicyEnforcer | None = None,
        trust_scorer: TrustScorer | None = None,
        slo: SLOBudget | None = None,
        adaptive_capacity: bool | None = None,
        auto_tune: bool | None = None,
        events: int | None = None,
    ) -> None:
        self._agents = tuple(agents)
        for agent in self._agents:
            if not isinstance(agent, Agent):
                raise ValueError(f"agents must be Agent objects, got {validate.shown(agent)}")
        if not isinstance(resource, SharedResource):
            raise ValueError(
                "resource must be a SharedResource, such as SharedResource('llm_api', capacity=3), "
                f"got {validate.shown(resource)}"
            )
        self._settings = Settings.of(
            name=resource.full_name,
            capacity=resource.capacity,
            optimize_for=optimize_for,
            alpha=alpha,
            max_waiters=max_waiters,
            lease_ttl=lease_ttl,
            max_stall=max_stall,
            on_lost=on_lost,
            strict=strict,
            backend_timeout=backend_timeout,
            scripts=scripts,
            rpm=resource.rpm,
            rpm_burst=resource.rpm_burst,
            tpm=resource.tpm,
            tpm_burst=resource.tpm_burst,
            adaptive_capacity=adaptive_capacity,
            auto_tune=auto_tune,
            events=events,
        )
        self._endpoint = resolve(redis, scripts)
        self._on_started, self._on_completed = on_task_started, on_task_completed
        self._cancels = on_lost == "cancel"
        self._guard = ForkGuard(resource.full_name)
        self._opening = asyncio.Lock()
        self._session: Session | None = None
        self._shut = False  # no new work
        self._closed = False
        self.metrics = SchedulerMetrics(self._connected)
        self.operations = Operations(self._use, self.reconfigure)
        self.enforcer, self.trust_scorer, self.slo = enforcer, trust_scorer, slo
        enforced = enforcer.get_policy("budget") if enforcer is not None else None
        if budget is not None and enforced is not None:
            raise ValueError("a budget twice: give budget= or a BudgetPolicy in the enforcer")
        self.budget = BudgetManager.of(budget) if budget is not None else None
        if isinstance(enforced, BudgetPolicy):
            self.budget = BudgetManager.over(enforced)
        for part in (self.budget, enforcer, trust_scorer, slo):
            if part is not None:
                part._bind(self._connected)

    def __repr__(self) -> str:
        if self._guard.forked:
            state = "forked"
        elif self._session is None:
            state = "closed" if self._closed else "not open"
        else:
            state = repr(self._session)
        return f"<AsyncLOCOScheduler {self.name!r} at {self._endpoint.redacted} {state}>"

    async def __aenter__(self) -> Self:
        await self._use()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def name(self) -> str:
        """Of the resource."""
        return self._settings.name

    @property
    def url(self) -> str:
        """Where Redis is, without credentials."""
        return self._endpoint.redacted

    @property
    def session_id(self) -> str | None:
        """The session's id in Redis; another one after it expired; None before it is open."""
        return self._session.ledger.session if self._session is not None else None

    # Slots

    def acquire(
        self,
        agent_id: str,
        task: Task | None = None,
        *,
        weight: float | None = None,
        timeout: float | None = None,
        nested: Nested = "error",
    ) -> Acquisition:
        """`async with scheduler.acquire("agent", weight=2.0) as lease:` waits for a slot, holds it,
        and releases it; a body that raises is charged nothing unless it has settled.

        With a task or a weight, that task waits and leaves with this request. With neither, the
        agent's oldest durable task is served, or an implicit one of weight 1.

        Args:
            timeout: seconds to wait; 0 takes a free slot or fails.
            nested: what to do when this task context holds a slot of this resource already:
                fail ("error"), use that one ("share"), or take another ("allow").

        Raises:
            ValueError: at once, for bad arguments. When entered:
            AcquireTimeoutError, BackpressureError, ShutdownError, ReentrantAcquireError,
            BackendError. When left: LeaseLostError, if the lease was lost (`on_lost="cancel"`).
        """
        return Acquisition(self, Wish.of(agent_id, task, weight, timeout, nested))

    async def acquire_start(
        self,
        agent_id: str,
        task: Task | None = None,
        *,
        weight: float | None = None,
        timeout: float | None = None,
        nested: Nested = "error",
    ) -> AcquireHandle:
        """`acquire` for those who cannot use a with-block. The body is not cancelled when the
        lease is lost: look at `handle.lease.lost`. As it may be released in any context, a handle
        does not count as an outer slot of the acquires that follow it."""
        holding = Holding(self, Wish.of(agent_id, task, weight, timeout, nested), Lease)
        await holding.enter()
        return AcquireHandle(holding)

    async def release_handle(
        self, handle: AcquireHandle, error: BaseException | None = None
    ) -> None:
        """Release what `acquire_start` gave, once; `error` says that the work failed.

        Raises:
            LeaseLostError: the first time, if the lease was lost (`on_lost="cancel"`).
        """
        self._guard.check()
        if handle._holding.left:
            return
        await handle._holding.leave(error)
        if handle.lease.lost and error is None and self._cancels:
            raise handle.lease._error()

    def serve(self, timeout: float | None = None, *, nested: Nested = "error") -> Acquisition:
        """`async with scheduler.serve() as lease:` waits for a slot *and* for the durable task that
        L(i) puts first over all agents with queued tasks; `lease.agent_id` and `lease.task` say
        what it is. `lease.complete(value)` keeps a result. A body that raises has failed: the task
        is tried again after its back-off, or is dead after `max_attempts`. At least once: a holder
        that died may have done all of it, so give `lease.token` to whatever it writes to.

        Args:
            timeout: seconds to wait.

        Raises:
            ValueError: at once, for bad arguments. When entered: NoTaskError after the timeout, and
            otherwise as `acquire`.
        """
        return Acquisition(self, Wish.any_task(timeout, nested))

    # Durable tasks

    async def submit_task(
        self,
        agent_id: str,
        task: Task | None = None,
        *,
        weight: float | None = None,
        payload: bytes | None = None,
        delay: float | None = None,
        not_before: Moment = None,
        deadline: Moment = None,
        max_attempts: int | None = None,
        backoff: Backoff | None = None,
        dedup_key: str | None = None,
        result_ttl: float | None = None,
    ) -> str:
        """Queue a task that outlives this process; returns its id. `serve` serves it, here or
        elsewhere, and `acquire(agent_id)` does.

        Args:
            weight, payload, max_attempts, backoff: as of `Task`, in place of the task's own.
            delay, not_before: it joins its queue after so many seconds, or at that moment (a
                datetime with a time zone, or seconds since the epoch, by the server's clock).
            deadline: it is dead if it is not done by then: seconds from now, or a datetime.
            dedup_key: while a task with this key lives or its result is kept, nothing is queued
                and that task's id is returned.
            result_ttl: seconds for which its result is kept for `result`; None keeps none.

        Raises:
            ValueError: bad arguments.
            PolicyViolationError, ResourceFullError, ShutdownError, BackendError.
        """
        agent, task = validate.agent_id(agent_id), task or Task()
        said = {
            "weight": weight,
            "payload": payload,
            "max_attempts": max_attempts,
            "backoff": backoff,
        }
        if given_too := {name: value for name, value in said.items() if value is not None}:
            task = replace(task, **given_too)  # type: ignore[arg-type]
        order = packed_order(
            delay=delay,
            not_before=not_before,
            deadline=deadline,
            dedup_key=dedup_key,
            result_ttl=result_ttl,
        )
        body = encode_body(task)
        session = await self._use()
        if self.enforcer is not None:
            await self.enforcer.check_custom(agent_id, task)
        reply, _ = await session.once(
            session.scripts.submit,
            agent=agent,
            weight=validate.weight(task.weight),
            max_attempts=task.max_attempts,
            body=body,
            given=given(task),
            order=order,
        )
        if reply.refusal is not None:
            error = error_of(reply.refusal, agent_id)
            decisions.refused(self.name, agent_id, error)
            raise error
        session.waker.at(reply.wake, is_own=True)
        decisions.submitted(self.name, agent_id, reply.task_id, task.weight)
        return reply.task_id

    async def result(self, task_id: str, timeout: float | None = None) -> Any:
        """What `lease.complete` was given for a task that was submitted with `result_ttl`, once it
        is done, wherever that is; None where it was done without a value.

        Args:
            timeout: seconds to wait.

        Raises:
            TaskFailedError: it is dead; TaskExpiredError: its deadline has passed.
            ResultNotKeptError: it was submitted without `result_ttl`.
            UnknownTaskError: it was cancelled, never was, or its result is kept no more.
            TimeoutError: not within the timeout; it may still be done.
            ShutdownError, BackendError.
        """
        session = await self._connected()
        reply = await session.results.of(validate.label("task_id", task_id).decode(), timeout)
        if reply.status is Status.NO_RESULT:
            raise ResultNotKeptError(task_id)
        if reply.status is not Status.OK:
            raise UnknownTaskError(task_id)
        if reply.kind == "c":
            return value_of(reply.value)
        if reply.kind == "x":
            raise TaskExpiredError(task_id)
        reason = reply.value.decode(errors="replace") or "its holders died"
        raise TaskFailedError(task_id, reason)

    def worker(
        self, handlers: Mapping[str, Handler], *, concurrency: int = 8, grace: float = 30.0
    ) -> Worker:
        """`await scheduler.worker({"agent": handler}).run()` serves tasks until it is stopped; see
        `orchestration.worker`."""
        from loco_redis.orchestration.worker import Worker

        return Worker(self, handlers, concurrency=concurrency, grace=grace)

    async def cancel_task(self, task_id: str) -> None:
        """Take a task away that does not run: a queued, delayed or dead one.

        Raises:
            UnknownTaskError: it is done, cancelled, or never was.
            TaskRunningError: it holds a slot.
        """
        session = await self._use()
        reply, _ = await session.once(session.scripts.cancel_task, task_id=task_id)
        if reply.status is Status.UNKNOWN_TASK:
            raise UnknownTaskError(task_id)
        if reply.status is Status.TASK_RUNNING:
            raise TaskRunningError(task_id)

    # Agents

    async def register_agent(self, agent: Agent) -> None:
        """Make an agent known while it has nothing queued; again to change its type."""
        session = await self._use()
        await session.belongings.register(agent)

    async def unregister_agent(self, agent_id: str) -> None:
        """Forget an agent.

        Raises:
            UnknownAgentError: there is none.
            AgentBusyError: it has tasks queued, waits or holds.
        """
        agent = validate.agent_id(agent_id)
        session = await self._use()
        reply, _ = await session.once(session.scripts.unregister, agent=agent)
        if reply.status is Status.UNKNOWN_AGENT:
            raise UnknownAgentError(agent_id)
        if reply.status is Status.AGENT_BUSY:
            raise AgentBusyError(agent_id)
        session.belongings.forget(agent_id)

    async def get_agent(self, agent_id: str) -> AgentSnapshot:
        """The agent as it is now. Raises UnknownAgentError."""
        agent = validate.agent_id(agent_id)
        session = await self._connected()
        found = (await session.read(session.scripts.agent(agent=agent))).agent
        if found is None:
            raise UnknownAgentError(agent_id)
        return found

    async def set_max_concurrency(self, agent_id: str, most: int | None) -> None:
        """The most slots that the agent may hold at once, over the whole fleet; None: no cap."""
        agent = validate.agent_id(agent_id)
        changes = packed(cap(agent, validate.whole("max_concurrency", most, 0)))
        session = await self._use()
        await session.once(session.scripts.govern, changes=changes)

    # The whole

    async def snapshot(self, limit: int = 1000) -> Snapshot:
        """Everything at this moment; each list has at most `limit` entries."""
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
            raise ValueError(f"limit must be an int from 0, got {validate.shown(limit)}")
        session = await self._connected()
        command = session.scripts.snapshot(limit=limit)
        while (found := (await session.read(command)).snapshot) is None:
            # The server has been emptied; nobody has noticed yet.
            session.expire(session.ledger)
            await session.until_open()
        return found

    async def reconfigure(
        self,
        *,
        capacity: int | None = None,
        alpha: float | None = None,
        optimize_for: str | None = None,
        max_waiters: int | None = None,
        rpm: int | None = None,
        rpm_burst: int | None = None,
        tpm: int | None = None,
        tpm_burst: int | None = None,
        adaptive_capacity: bool | None = None,
        auto_tune: bool | None = None,
        events: int | None = None,
        paused: bool | None = None,
        if_version: int | None = None,
    ) -> int:
        """Change the resource for everybody, at once; None keeps a value. Nobody is evicted.

        Args:
            max_waiters: -1 for no limit.
            rpm, tpm: 0 for no limit; a new one sets its burst, too.
            events: 0 for no log of decisions.
            paused: True: grant nothing until False; holders go on, waiters keep their age.
            if_version: change nothing unless this is the configuration's version.

        Returns:
            The new version.

        Raises:
            ConfigConflictError: it is at another version.
        """
        rates = SharedResource(self.name, None, rpm, tpm, rpm_burst, tpm_burst)
        asked = Asked.of(
            Settings.of(
                name=self.name,
                capacity=capacity,
                alpha=alpha,
                optimize_for=optimize_for,
                max_waiters=None if max_waiters == -1 else max_waiters,
                rpm=rates.rpm,
                rpm_burst=rates.rpm_burst,
                tpm=rates.tpm,
                tpm_burst=rates.tpm_burst,
                adaptive_capacity=adaptive_capacity,
                auto_tune=auto_tune,
                events=events,
            )
        ).in_script_units()
        del asked["lease"]
        session = await self._use()
        reply, _ = await session.once(
            session.scripts.reconfigure,
            if_version=if_version or 0,
            **asked
            | {"max_waiters": max_waiters, "paused": None if paused is None else int(paused)},
        )
        if reply.config is None:
            raise ConfigConflictError(self.name, if_version or 0, session.config.version)
        if reply.status is Status.CONFLICT:
            raise ConfigConflictError(self.name, if_version or 0, reply.config.version)
        decisions.reconfigured(self.name, session.config, reply.config)
        session.config = reply.config
        return reply.config.version

    async def shutdown(self, timeout: float = 30.0) -> dict[str, int]:
        """Take no more work: own waiters get ShutdownError, own holders up to `timeout` seconds to
        finish. Reading goes on until `aclose()`. Idempotent.

        Returns:
            {"cancelled_waiters": n, "active_holders": m}, m being those that still hold.
        """
        self._guard.check()
        self._shut = True
        session = self._session
        if session is None:
            return {"cancelled_waiters": 0, "active_holders": 0}
        cancelled = session.requests.shut_down()
        holders = await session.until_idle(timeout)
        return {"cancelled_waiters": cancelled, "active_holders": holders}

    async def aclose(self) -> None:
        """End at once: waiters get ShutdownError, leases still held are lost, connections that
        were opened here are closed. Idempotent; does nothing in a forked child."""
        self._shut = self._closed = True
        if self._guard.forked:
            return
        async with self._opening:
            session = self._session
        open_schedulers.discard(self)
        if session is not None:
            await session.aclose()

    async def _use(self) -> Session:
        """The open session, for new work."""
        if self._shut and not self._guard.forked:
            raise ShutdownError(self.name)
        return await self._connected()

    async def _connected(self) -> Session:
        """The open session, opened if need be."""
        self._guard.check()
        if self._closed:
            raise ShutdownError(self.name)
        session = self._session
        if session is None:
            return await self._open()
        if session.loop is not asyncio.get_running_loop():
            raise RuntimeError(
                f"the scheduler of {self.name!r} was opened in another event loop: "
                "make one in each, or use LOCOScheduler from threads"
            )
        return session

    async def _open(self) -> Session:
        async with self._opening:
            if self._closed:
                raise ShutdownError(self.name)
            if self._session is None:
                session = Session(self._settings, self._endpoint)
                await session.open()
                try:
                    await asyncio.gather(*map(session.belongings.register, self._agents))
                    parts = (self.budget, self.enforcer, self.trust_scorer, self.slo)
                    for part in parts:
                        if part is not None:
                            await part._install(session)
                except BaseException:
                    await session.aclose()
                    raise
                # Not before: who used it meanwhile would lose it with a caller who is cancelled.
                self._session = session
                open_schedulers.add(self)
            return self._session
