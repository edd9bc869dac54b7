"""Every error a user of loco-redis can meet; all are a `LocoRedisError`.

    LocoRedisError
    ├── BackpressureError        refused: as many waiters as max_waiters
    ├── PolicyViolationError     refused by a policy: access, rate, or one of your own
    │   └── BudgetExceededError      it would cost more than the agent may spend
    │       └── TenantCostExceededError    more than its tenant may spend
    ├── TenantLimitError         the tenant has as many agents as it may
    ├── UnknownTenantError       no such tenant                          (also ValueError)
    ├── ShutdownError            this scheduler is closing or closed
    ├── AcquireTimeoutError      no slot within the caller's timeout     (also TimeoutError)
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
    └── BackendError             Redis itself
        ├── BackendUnavailableError    not reachable within backend_timeout
        ├── BackendMemoryError         out of memory; nothing was written
        ├── BackendPermissionError     the ACL user lacks a right
        └── BackendVersionError        older than the oldest supported server

Bad arguments are plain `ValueError`s, raised before anything is sent. An unknown outcome (a reply
that was lost) is never an error: the client asks again with the same request id.

Each constructor takes the facts, keeps them as attributes and words the message, remedy included.
"""

from __future__ import annotations

from typing import Any


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
            "(ask for the right, or give --redis another user)"
        )


class BackendMemoryError(BackendError):
    """Redis is at maxmemory and refused the write; nothing was written."""

    def __init__(self, where: str) -> None:
        self.where = where
        super().__init__(
            f"Redis at {where} is out of memory and wrote nothing: raise maxmemory or free some; "
            "leases can still be kept and released"
        )


class BackendVersionError(BackendError):
    """The server is too old for the scripts."""

    def __init__(self, where: str, found: str, needed: str = "6.2") -> None:
        self.where, self.found, self.needed = where, found, needed
        super().__init__(
            f"Redis at {where} is version {found}, {needed} or newer is needed: upgrade it, "
            "or use Valkey"
        )
