"""Every error a user of loco-redis can meet; all are a `LocoRedisError`.

    LocoRedisError
    ├── BackpressureError        refused: as many waiters as max_waiters
    ├── ResourceFullError        refused: no more sessions, agents, tasks or weight
    ├── PolicyViolationError     refused by a policy: access, rate, or one of your own
    │   └── BudgetExceededError      it would cost more than the agent may spend
    │       └── TenantCostExceededError    more than its tenant may spend
    ├── TenantLimitError         the tenant has as many agents as it may
    ├── UnknownTenantError       no such tenant                          (also ValueError)
    ├── ShutdownError            this scheduler is closing or closed
    ├── AcquireTimeoutError      no slot within the caller's timeout     (also TimeoutError)
    │   └── NoTaskError              serve: no task of any agent within it
    ├── TaskFailedError          the task whose result was waited for is dead
    │   └── TaskExpiredError         its deadline has passed
    ├── ResultNotKeptError       the task was submitted without result_ttl
    ├── EvictedError             an operator cancelled the waiting request
    ├── LeaseLostError           the slot was taken back while it was held
    ├── SessionExpiredError      Redis no longer knows this process
    ├── ConfigMismatchError      asked for a value other than the stored one
    ├── ConfigConflictError      somebody else reconfigured meanwhile
    ├── UnknownResourceError     nothing is stored under this name       (also ValueError)
    ├── UnknownAgentError        no such agent                           (also ValueError)
    ├── AgentBusyError           the agent still has work
    ├── UnknownRequestError      no such request                         (also ValueError)
    ├── UnknownTaskError         no such task                            (also ValueError)
    ├── TaskRunningError         the task has already been granted a slot
    ├── TaskAliveError           the task to be queued again is not dead
    ├── ReentrantAcquireError    nested acquire in one task context would deadlock
    ├── ForkedError              used in a child of the process that opened it
    ├── NoBackendError           a router has no backend that may be used now
    ├── BackendFailure           raised by users: a backend of a router has failed
    ├── PlanError                a plan that cannot be run                (also ValueError)
    ├── PlanFailedError          a plan has ended without success
    ├── UnknownPlanError         no such plan                            (also ValueError)
    ├── ContextFullError         a shared context may hold no more
    ├── ContextContendedError    others were faster each time a shared value was to be changed
    ├── ConfigFileError          a configuration file cannot be used      (also ValueError)
    ├── ReplyTimeoutError        no reply to a message within its timeout (also TimeoutError)
    └── BackendError             Redis itself
        ├── BackendUnavailableError    not reachable within backend_timeout
        ├── BackendMemoryError         out of memory; nothing was written
        ├── BackendPermissionError     the ACL user lacks a right
        ├── BackendLibraryError        scripts="functions", and their library is not loaded
        └── BackendVersionError        older than the oldest supported server

Bad arguments are plain `ValueError`s, raised before anything is sent. An unknown outcome (a reply
that was lost) is never an error: the client asks again with the same request id.

Each constructor takes the facts, keeps them as attributes and words the message, remedy included.
"""

from __future__ import annotations

from typing import Any, Self


class LocoRedisError(Exception):
    """Base of all errors of this package. Survives pickling, so it can cross processes."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the constructor with `args`, which holds the message, not the facts.
        return _revive, (type(self), self.args, self.__dict__)


def _revive(
    cls: type[LocoRedisError], args: tuple[Any, ...], state: dict[str, Any]
) -> LocoRedisError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class BackpressureError(LocoRedisError):
    """The queue is full; the request left no trace."""

    def __init__(self, name: str, waiters: int, max_waiters: int) -> None:
        self.name, self.waiters, self.max_waiters = name, waiters, max_waiters
        super().__init__(
            f"{name!r} has {waiters} waiters and max_waiters={max_waiters}: "
            "retry later, shed load, or raise max_waiters"
        )


class ResourceFullError(LocoRedisError):
    """There may be no more of it (docs/security.md, Limits); what was asked for left no trace."""

    def __init__(self, what: str, most: int) -> None:
        self.what, self.most = what, most
        super().__init__(
            f"one agent may have no more {what} queued than {most}: finish or cancel some, or give "
            "its tasks smaller weights"
            if what == "weight"
            else f"a resource may have no more {what} than {most}: finish or remove some, find out "
            "which client makes them, or use another resource"
        )


class PolicyViolationError(LocoRedisError):
    """A policy refuses the task; it left no trace. `retry_after` (seconds) says when it may pass,
    where time helps."""

    retry_after: float | None = None

    def __init__(
        self, policy_name: str, agent_id: str, detail: str, retry_after: float | None = None
    ) -> None:
        self.policy_name, self.agent_id, self.detail = policy_name, agent_id, detail
        message = f"policy {policy_name!r} refuses agent {agent_id!r}: {detail}"
        if retry_after is not None:
            self.retry_after = retry_after
            message += f"; it may pass in {retry_after} s"
        super().__init__(message)


class BudgetExceededError(PolicyViolationError):
    """The task would take its agent beyond its budget. All amounts are in units of cost."""

    def __init__(self, agent_id: str, limit: float, used: float, asked: float) -> None:
        self.limit, self.used, self.asked = limit, used, asked
        super().__init__(
            "budget",
            agent_id,
            f"{used} of {limit} is spent or reserved and {asked} more was asked for: "
            "raise the limit, reset it, or wait for its period to end",
        )


class TenantCostExceededError(BudgetExceededError):
    """The task would take the whole tenant beyond its ceiling."""

    def __init__(self, tenant: str, agent_id: str, limit: float, used: float, asked: float) -> None:
        self.tenant, self.limit, self.used, self.asked = tenant, limit, used, asked
        detail = (
            f"{used} of the {limit} that {tenant!r} may spend is spent or reserved and "
            f"{asked} more was asked for: raise cost_ceiling"
        )
        PolicyViolationError.__init__(self, "tenant", agent_id, detail)


class TenantLimitError(LocoRedisError):
    """The tenant has as many agents as it may."""

    def __init__(self, tenant: str, max_agents: int) -> None:
        self.tenant, self.max_agents = tenant, max_agents
        super().__init__(
            f"tenant {tenant!r} has {max_agents} agents, as many as it may: "
            "unregister one or raise max_agents"
        )


class UnknownTenantError(LocoRedisError, ValueError):
    """The named tenant is not registered."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        super().__init__(f"no tenant {tenant!r}: register_tenant() it first")


class ShutdownError(LocoRedisError):
    """The scheduler is closing or closed; a waiter that gets this holds nothing."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"the scheduler of {name!r} is shut down: open a new one")


class AcquireTimeoutError(LocoRedisError, TimeoutError):
    """No slot came within the timeout (seconds); the request was withdrawn."""

    def __init__(self, name: str, agent_id: str, timeout: float) -> None:
        self.name, self.agent_id, self.timeout = name, agent_id, timeout
        super().__init__(
            f"no slot of {name!r} for agent {agent_id!r} within {timeout:g} s: "
            "the request was withdrawn"
        )


class NoTaskError(AcquireTimeoutError):
    """`serve` found no task of any agent, or no slot for one, within its timeout."""

    def __init__(self, name: str, agent_id: str, timeout: float) -> None:
        super().__init__(name, agent_id, timeout)
        self.args = (f"no task of any agent, or no slot of {name!r}, within {timeout:g} s",)


class TaskFailedError(LocoRedisError):
    """The durable task whose result was waited for is dead; `reason` is how it failed last."""

    def __init__(self, task_id: str, reason: str) -> None:
        self.task_id, self.reason = task_id, reason
        super().__init__(
            f"task {task_id} is dead ({reason}): `loco-redis requeue {task_id}` tries it again"
        )


class TaskExpiredError(TaskFailedError):
    """Its deadline passed before it was done."""

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id, "its deadline passed before it was done")


class ResultNotKeptError(LocoRedisError):
    """The durable task was submitted without `result_ttl`: no result of it will be kept."""

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        super().__init__(f"no result of task {task_id} is kept: submit it with result_ttl=seconds")


class EvictedError(LocoRedisError):
    """An operator cancelled the request while it waited (`loco-redis cancel`)."""

    def __init__(self, request_id: str, agent_id: str) -> None:
        self.request_id, self.agent_id = request_id, agent_id
        super().__init__(
            f"request {request_id} of agent {agent_id!r} was cancelled by an operator: "
            "ask again if it is still wanted"
        )


class UnknownRequestError(LocoRedisError, ValueError):
    """No such request waits or holds a slot."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        super().__init__(
            f"no request {request_id!r} waits or holds a slot: it has ended, or never was"
        )


class LeaseLostError(LocoRedisError):
    """The slot is no longer this holder's; somebody else may hold it now."""

    def __init__(self, name: str, token: int, reason: str = "its session expired") -> None:
        self.name, self.token, self.reason = name, token, reason
        super().__init__(
            f"the lease of {name!r} with token {token} was lost ({reason}): stop using the "
            "resource; work it must not see twice has to check the token"
        )


class SessionExpiredError(LocoRedisError):
    """Redis reclaimed this process' session: leases and requests of it are gone."""

    def __init__(self, name: str, session: str) -> None:
        self.name, self.session = name, session
        super().__init__(
            f"session {session} of {name!r} expired: the process was silent for longer than "
            "lease_ttl, or Redis lost its data; acquire again"
        )


class ConfigMismatchError(LocoRedisError):
    """The resource exists with another value of `field`; nothing was written."""

    def __init__(self, field: str, stored: object, asked: object) -> None:
        self.field, self.stored, self.asked = field, stored, asked
        super().__init__(
            f"{field} is {stored} in Redis but {asked} was asked for: leave it out to adopt the "
            "stored value, or change it for everybody with reconfigure()"
        )

    @classmethod
    def of_schema(cls, name: str, stored: str, known: int) -> Self:
        """The state was written by another version, in a form of its own."""
        error = cls("schema", stored, known)
        error.args = (
            f"the state of {name!r} is of another version of loco-redis (schema {stored}, this one "
            f"knows {known}): run that version here, or use another resource",
        )
        return error


class ConfigConflictError(LocoRedisError):
    """The configuration changed between reading it and writing it; nothing was written."""

    def __init__(self, name: str, expected: int, found: int) -> None:
        self.name, self.expected, self.found = name, expected, found
        super().__init__(
            f"the configuration of {name!r} is at version {found}, not {expected}: "
            "somebody else changed it; read it again and decide anew"
        )


class UnknownResourceError(LocoRedisError, ValueError):
    """Nothing is stored under this name."""

    def __init__(self, name: str, where: str) -> None:
        self.name, self.where = name, where
        super().__init__(
            f"there is no resource {name!r} at {where}: "
            "nobody has opened it yet, or it was purged (see `loco-redis resources`)"
        )


class UnknownAgentError(LocoRedisError, ValueError):
    """The named agent is not registered."""

    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id
        super().__init__(f"no agent {agent_id!r}: register_agent() it or submit a task for it")


class AgentBusyError(LocoRedisError):
    """The agent has queued tasks, waiters or leases, so it cannot be unregistered."""

    def __init__(self, agent_id: str, detail: str = "queued tasks, waiters or leases") -> None:
        self.agent_id, self.detail = agent_id, detail
        super().__init__(
            f"agent {agent_id!r} still has {detail}: let it finish or cancel its tasks first"
        )


class UnknownTaskError(LocoRedisError, ValueError):
    """The named task is not queued: it never was, or has been served or cancelled."""

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        super().__init__(f"no task {task_id!r}: it is done, was cancelled, or never existed")


class TaskRunningError(LocoRedisError):
    """The task holds a slot, so it cannot be cancelled from the queue."""

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        super().__init__(f"task {task_id!r} is running: only its holder can end it")


class TaskAliveError(LocoRedisError):
    """The task is queued or runs; only a dead one can be queued again."""

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        super().__init__(f"task {task_id!r} is not dead: it is queued, or runs")


class ReentrantAcquireError(LocoRedisError):
    """A task context that holds a slot asked for another of the same resource."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"this task already holds a slot of {name!r} and would wait for itself: "
            "use the lease it has, or acquire in another task"
        )


class ForkedError(LocoRedisError):
    """A scheduler was used in a forked child; its sockets belong to the parent."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"the scheduler of {name!r} was opened before fork(): open one in the child"
        )


class BackendError(LocoRedisError):
    """Redis failed in a way the client cannot repair; `detail` says how."""

    def __init__(self, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)


class BackendUnavailableError(BackendError):
    """Redis could not be reached. `where` is a redacted URL; `__cause__` the driver's error."""

    def __init__(self, where: str, detail: str) -> None:
        self.where = where
        super().__init__(f"no Redis at {where}: {detail}")
        self.detail = detail


class BackendPermissionError(BackendError):
    """The Redis user lacks a right."""

    def __init__(self, where: str, command: str, detail: str) -> None:
        self.where, self.command = where, command
        super().__init__(
            f"Redis at {where} does not let this user run {command}: {detail} "
            "(grant it, see docs/security.md, or use another user)"
        )


class BackendMemoryError(BackendError):
    """Redis is at maxmemory and refused the write; nothing was written."""

    def __init__(self, where: str) -> None:
        self.where = where
        super().__init__(
            f"Redis at {where} is out of memory and wrote nothing: raise maxmemory or free some; "
            "leases can still be kept and released"
        )


class BackendLibraryError(BackendError):
    """The server lacks the function library of this version of loco-redis; nothing was written."""

    def __init__(self, where: str, library: str) -> None:
        self.where, self.library = where, library
        super().__init__(
            f"Redis at {where} has no function library {library}, which this version of "
            "loco-redis needs: an administrator loads it by `loco-redis functions load`"
        )


class BackendVersionError(BackendError):
    """The server is too old for the scripts, or for what `why` says."""

    def __init__(self, where: str, found: str, needed: str = "6.2", why: str = "") -> None:
        self.where, self.found, self.needed = where, found, needed
        super().__init__(
            f"Redis at {where} is version {found}, {needed} or newer is needed"
            f"{why and ' '}{why}: upgrade it, or use Valkey"
        )


class PlanError(LocoRedisError, ValueError):
    """A plan, one of its steps, or what it is run with, is not as it must be; nothing was done."""

    def __init__(self, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)


class PlanFailedError(LocoRedisError):
    """A plan has ended, in state "failed" or "cancelled". `result`, a PlanResult, has what its
    steps gave until then."""

    result: Any = None

    def __init__(self, plan_id: str, state: str, detail: str) -> None:
        self.plan_id, self.state, self.detail = plan_id, state, detail
        super().__init__(
            f"plan {plan_id!r} has {'failed' if state == 'failed' else f'been {state}'}: {detail} "
            "(mend the cause and run it under another id)"
        )


class UnknownPlanError(LocoRedisError, ValueError):
    """Nothing is stored of this plan."""

    def __init__(self, plan_id: str, where: str) -> None:
        self.plan_id, self.where = plan_id, where
        super().__init__(
            f"there is no plan {plan_id!r} at {where}: nobody has run it, or it ended longer ago "
            "than its ttl (see `loco-redis plan list`)"
        )


class NoBackendError(LocoRedisError):
    """No backend of a router may be used now. `retry_after`: seconds until the next breaker lets a
    probe through; None: not known."""

    def __init__(self, name: str, excluded: int, broken: int, retry_after: float | None) -> None:
        self.name, self.excluded, self.broken = name, excluded, broken
        self.retry_after = retry_after
        when = "later" if retry_after is None else f"in {retry_after:.3g} s"
        super().__init__(
            f"no backend of router {name!r} may be used: {excluded} excluded or tried, {broken} "
            f"broken: try again {when}, or add a backend"
        )


class BackendFailure(LocoRedisError):
    """Raise it in the body of a route: the backend has failed, which counts against it. `status` is
    the HTTP status, `retry_after` the seconds for which it asks to be left alone."""

    def __init__(
        self, detail: str, status: int | None = None, retry_after: float | None = None
    ) -> None:
        self.detail, self.status, self.retry_after = detail, status, retry_after
        super().__init__(detail)


class ContextFullError(LocoRedisError):
    """The write would make a shared context too large; nothing of it was done."""

    def __init__(self, context: str, what: str, found: int, most: int) -> None:
        self.context, self.what, self.found, self.most = context, what, found, most
        super().__init__(
            f"shared context {context!r} would have {found} {what}, at most {most} are allowed: "
            "delete some, or spread them over several contexts"
        )


class ContextContendedError(LocoRedisError):
    """Each time a value was to be changed somebody else had changed it meanwhile."""

    def __init__(self, context: str, key: str, attempts: int) -> None:
        self.context, self.key, self.attempts = context, key, attempts
        super().__init__(
            f"{key!r} of shared context {context!r} was changed by others {attempts} times in a "
            "row: try again later, allow more attempts, or spread it over several keys"
        )


class ConfigFileError(LocoRedisError, ValueError):
    """A configuration file cannot be used. `complaints` has a line for each thing that is wrong,
    which begins with `file:line:column:`."""

    def __init__(self, path: str, complaints: list[str]) -> None:
        self.path = path
        super().__init__("\n".join(complaints))

    @property
    def complaints(self) -> list[str]:
        return str(self).split("\n")


class ReplyTimeoutError(LocoRedisError, TimeoutError):
    """No reply to a message within the caller's timeout. One that nobody had begun to handle has
    been taken back, unless it was sent with a key."""

    def __init__(self, agent_id: str, task_id: str) -> None:
        self.agent_id, self.task_id = agent_id, task_id
        super().__init__(
            f"no reply of agent {agent_id!r} to message {task_id} within the timeout: allow more "
            "time, or see whether a process serves (`loco-redis top`)"
        )
