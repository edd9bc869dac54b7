"""What the adapters of servers share: who calls, and what a caller is told who gets no slot."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from loco_redis._acquisition import Acquisition
from loco_redis.context import DEFAULT_AGENT, Caller, current
from loco_redis.errors import (
    AcquireTimeoutError,
    BackendError,
    BackpressureError,
    BudgetExceededError,
    EvictedError,
    LeaseLostError,
    LocoRedisError,
    PolicyViolationError,
    ResourceFullError,
    SessionExpiredError,
    ShutdownError,
    TenantLimitError,
)
from loco_redis.scheduler import AsyncLOCOScheduler

#: By the first that fits. 429: there is more work than slots, or than the agent may do. 503: the
#: scheduler cannot serve. The texts name neither Redis nor budgets: callers may be strangers.
_ANSWERS: tuple[tuple[type[LocoRedisError], int, str, str], ...] = (
    (AcquireTimeoutError, 429, "no_slot", "no slot became free in time"),
    (BackpressureError, 429, "queue_full", "too many requests are waiting"),
    (BudgetExceededError, 429, "budget", "the agent's budget is used up"),
    (PolicyViolationError, 429, "policy", "a policy does not allow this now"),
    (TenantLimitError, 429, "limit", "the tenant has as many agents as it may"),
    (ResourceFullError, 429, "limit", "there is no room for more"),
    (EvictedError, 503, "evicted", "an operator has cancelled the request"),
    (ShutdownError, 503, "shutting_down", "this server is shutting down"),
    (LeaseLostError, 503, "slot_lost", "the slot was lost before the work was done"),
    (SessionExpiredError, 503, "unavailable", "the scheduler is not available"),
    (BackendError, 503, "unavailable", "the scheduler is not available"),
)


class Refusal(NamedTuple):
    """`retry_after`: whole seconds, at least 1; None where time does not help."""

    status: int
    code: str
    detail: str
    retry_after: int | None

    @classmethod
    def of(cls, error: LocoRedisError, retry_after: float) -> Refusal | None:
        """`retry_after`: seconds, where the error does not know them. None: no refusal, but a
        mistake of the program, such as another configuration than the stored one."""
        told = getattr(error, "retry_after", None)
        never = isinstance(error, PolicyViolationError) and told is None
        if never and not isinstance(error, BudgetExceededError):
            return cls(403, "policy", "a policy does not allow this", None)
        for kind, status, code, detail in _ANSWERS:
            if isinstance(error, kind):
                seconds = retry_after if told is None else told
                return cls(status, code, detail, max(1, math.ceil(seconds)))
        return None

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"retry-after": str(self.retry_after)}

    @property
    def body(self) -> dict[str, Any]:
        """For JSON."""
        told: dict[str, Any] = {"error": self.code, "detail": self.detail}
        return told if self.retry_after is None else told | {"retry_after": self.retry_after}


def slot_of(
    scheduler: AsyncLOCOScheduler, caller: Caller, weight: float, timeout: float | None
) -> Acquisition:
    """What waits for a caller's slot when it is entered; inside a slot of the context, that one."""
    task = caller.task(weight)
    return scheduler.acquire(caller.agent_id, task, timeout=timeout, nested="share")


async def end_early(slot: Acquisition, error: Exception | None = None) -> None:
    """Give a slot back before its block has been left, by whichever task."""
    assert slot._holding is not None
    await slot._holding.leave(error)


def caller_of(agent_id: str | None) -> Caller:
    """Who calls, with the context's attribution. Raises ValueError for a bad id."""
    outer = current()
    if agent_id is None:
        return outer if outer is not None else Caller(DEFAULT_AGENT)
    return Caller(agent_id).within(outer)
