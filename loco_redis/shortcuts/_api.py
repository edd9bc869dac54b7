"""The functions of the one-line API; its decorator has a module of its own."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

from loco_redis import _validate as validate
from loco_redis.blocking import LOCOScheduler
from loco_redis.models import SharedResource
from loco_redis.scheduler import AsyncLOCOScheduler
from loco_redis.shortcuts._calls import call, name_of
from loco_redis.shortcuts._defaults import Configuration, defaults
from loco_redis.shortcuts._terms import Terms

T = TypeVar("T")

_BUDGET_MODES = ("reject", "alert", "downgrade")
_RATES = ("rpm", "tpm", "rpm_burst", "tpm_burst")
_OPTIONS = (
    "agents",
    "alpha",
    "lease_ttl",
    "max_stall",
    "on_lost",
    "strict",
    "backend_timeout",
    "scripts",
    "on_task_started",
    "on_task_completed",
    "adaptive_capacity",
    "events",
)
_OF_ONE = ("budget", "enforcer", "trust_scorer", "slo", "resource")


def configure(
    *,
    capacity: int | None = None,
    redis: str | None = None,
    resource_name: str = "llm_api",
    optimize_for: str | None = None,
    auto_tune: bool | None = None,
    max_waiters: int | None = None,
    budget_mode: str | None = None,
    **options: Any,
) -> None:
    """Say which resource the one-line API is about. Connects nothing. Once in a process; again
    with the same arguments it does nothing.

    Args:
        capacity: how many may use the resource at once, over all processes; None adopts what is
            stored in Redis.
        redis: a URL; None for LOCO_REDIS_URL, REDIS_URL, or an embedded server.
        resource_name: what is shared.
        optimize_for, auto_tune, max_waiters: as of AsyncLOCOScheduler.
        budget_mode: what a task meets that its agent's budget does not allow: "reject" refuses it
            (BudgetExceededError), "alert" and "downgrade" let it in. It holds for the whole fleet.
            None: no budgets are set here.
        options: `rpm`, `tpm`, `rpm_burst`, `tpm_burst` of SharedResource; `agents`, `alpha`,
            `lease_ttl`, `max_stall`, `on_lost`, `strict`, `backend_timeout`, `scripts`,
            `adaptive_capacity`, `events`, `on_task_started` and `on_task_completed` of
            AsyncLOCOScheduler.

    Raises:
        ValueError: bad arguments, in one line.
        RuntimeError: it is configured otherwise, and in use: `reset()` first.
    """
    _check(redis, budget_mode, options)
    rates = {name: options.pop(name) for name in _RATES if name in options}
    agents = tuple(options.pop("agents", ()))
    options |= {"optimize_for": optimize_for, "auto_tune": auto_tune, "max_waiters": max_waiters}
    resource = SharedResource(resource_name, capacity, **rates)
    # What is made here is thrown away: it has checked the arguments. Where Redis is without a URL
    # is looked up when it is needed.
    url = "embedded://" if redis is None else redis
    Configuration(resource, agents, budget_mode, {**options, "redis": url}).scheduler()
    defaults.configure(Configuration(resource, agents, budget_mode, {**options, "redis": redis}))


def _check(redis: object, budget_mode: object, options: dict[str, Any]) -> None:
    if redis is not None and not isinstance(redis, str):
        raise ValueError(
            f"redis must be a URL or None, got {validate.shown(redis)}: a client belongs to one "
            "event loop, so make an AsyncLOCOScheduler with it"
        )
    if budget_mode is not None and budget_mode not in _BUDGET_MODES:
        raise ValueError(
            "budget_mode must be 'reject', 'alert', 'downgrade' or None, "
            f"got {validate.shown(budget_mode)}"
        )
    for name in options:
        if name in _OF_ONE:
            raise ValueError(
                f"{name} belongs to one scheduler, and each event loop has its own here: make an "
                f"AsyncLOCOScheduler(..., {name}=...)"
            )
        if name not in _OPTIONS + _RATES:
            raise ValueError(
                f"unknown option {validate.shown(name)}: known are "
                f"{', '.join(sorted(_OPTIONS + _RATES))}"
            )


def get_scheduler() -> AsyncLOCOScheduler:
    """The scheduler of the running event loop. Each loop has its own; it is made at the first call,
    opened at its first use, and closed when the loop ends.

    Raises:
        RuntimeError: nothing is configured, or no event loop runs in this thread.
    """
    return defaults.scheduler()


def get_blocking_scheduler() -> LOCOScheduler:
    """The scheduler of plain code: one for all threads of the process, closed when that ends.

    Raises:
        RuntimeError: nothing is configured.
    """
    return defaults.blocking_scheduler()


async def set_budget(agent_id: str, max_cost: float) -> None:
    """What the agent may spend from now on, for the whole fleet.

    Raises:
        ValueError: bad arguments.
        RuntimeError: no budget mode is configured.
    """
    budget = get_scheduler().budget
    if budget is None:
        raise RuntimeError("budgets are off: call configure(..., budget_mode='reject')")
    await budget.set_limit(agent_id, max_cost)


@overload
async def wrap(
    fn: Callable[..., Awaitable[T]],
    /,
    *args: Any,
    agent_id: str | None = None,
    weight: float | None = None,
    timeout: float | None = None,
    **kwargs: Any,
) -> T: ...
@overload
async def wrap(
    fn: Callable[..., T],
    /,
    *args: Any,
    agent_id: str | None = None,
    weight: float | None = None,
    timeout: float | None = None,
    **kwargs: Any,
) -> T: ...
async def wrap(
    fn: Callable[..., Any],
    /,
    *args: Any,
    agent_id: str | None = None,
    weight: float | None = None,
    timeout: float | None = None,
    **kwargs: Any,
) -> Any:
    """Wait for a slot, call `fn(*args, **kwargs)` in the event loop, await what it returns if that
    can be awaited, and give the slot back. A call that raises is charged nothing.

    Inside a slot of this resource that the context holds already, that one is used.

    Args:
        agent_id: who calls; None: that of the context, `with loco_redis.agent(...)`, or "default".
            What `fn` calls finds it in the context.
        weight: its cost proxy, 1 and up; None: 1.
        timeout: seconds to wait for the slot; 0 takes a free one or fails.

    Raises:
        ValueError: bad arguments.
        TypeError: `fn` makes an iterator, which would be used after the slot is given back.
        RuntimeError: nothing is configured.
        As `AsyncLOCOScheduler.acquire`, and what `fn` raises.
    """
    if not callable(fn) or inspect.isasyncgenfunction(fn) or inspect.isgeneratorfunction(fn):
        raise TypeError(_not_to_be_wrapped(fn))
    return await call(fn, args, kwargs, Terms.of(agent_id, weight, timeout))


def _not_to_be_wrapped(fn: object) -> str:
    if inspect.iscoroutine(fn):
        fn.close()
        return f"wrap() calls the function itself: wrap({name_of(fn)}, ...) without calling it"
    if callable(fn):
        return f"{name_of(fn)} is a generator: put @loco_redis.scheduled on it and iterate it"
    return f"wrap() needs a function, got {validate.shown(fn)}"


async def reset() -> None:
    """Close all schedulers of the one-line API in this process, and forget the configuration.
    Waiters get ShutdownError, leases that are still held are lost. Idempotent.

    Schedulers of other event loops are closed in those, while they run.
    """
    await defaults.reset()
