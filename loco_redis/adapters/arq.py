"""arq: a job runs in a slot of the agent named in its keywords, or on its function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass, replace
from typing import Any, NoReturn

from loco_redis import _validate as validate
from loco_redis._extras import need
from loco_redis.adapters._queue_slots import LABELS, OnTimeout, QueueOptions
from loco_redis.errors import LocoRedisError
from loco_redis.scheduler import AsyncLOCOScheduler
from loco_redis.shortcuts import get_scheduler


class ArqAdapter:
    """`functions = adapter.functions([work])` and `on_shutdown = adapter.on_shutdown` in arq's
    WorkerSettings.

    `loco_agent`, `loco_weight` and `loco_timeout` say who waits, with what weight, and for how many
    seconds: as keywords of `enqueue_job`, which the function does not see, else as attributes of
    the function. `loco_agent=None` runs a job without a slot.

    Args:
        scheduler: whose slots are taken; None: the one that `loco_redis.configure` made.
        agent_id, weight, timeout, on_timeout, retry_in: as of QueueOptions. A job put off is
            deferred as by arq's `Retry`, and does not use up one of its tries.

    A job without a slot fails with what `acquire` raises.

    Raises:
        ValueError: any of them out of range.
    """

    def __init__(
        self,
        scheduler: AsyncLOCOScheduler | None = None,
        *,
        agent_id: str | None = None,
        weight: float = 1.0,
        timeout: float | None = None,
        on_timeout: OnTimeout = "retry",
        retry_in: float = 1.0,
    ) -> None:
        if not isinstance(scheduler, AsyncLOCOScheduler | None):
            raise ValueError(
                f"scheduler must be an AsyncLOCOScheduler or None, got {validate.shown(scheduler)}"
            )
        self._options = QueueOptions(agent_id, weight, timeout, on_timeout, retry_in)
        self._scheduler, self._used = scheduler, scheduler

    def functions(self, functions: Iterable[Any]) -> list[Any]:
        """Each of them by `wrap`."""
        return [self.wrap(function) for function in functions]

    def wrap(self, function: Any) -> Any:
        """The same job in slots: a coroutine function, or what `arq.func` or `arq.cron` gave.

        Raises:
            ValueError: anything else.
        """
        if is_dataclass(function) and not isinstance(function, type):
            job: Any = function
            return replace(job, coroutine=self._wrapped(job.coroutine, job.name))
        if not inspect.iscoroutinefunction(function):
            raise ValueError(
                "function must be a coroutine function, or made by arq.func or arq.cron, "
                f"got {validate.shown(function)}"
            )
        return self._wrapped(function, function.__qualname__)

    async def on_shutdown(self, ctx: Mapping[Any, Any] | None = None) -> None:
        """Close the configured scheduler, if jobs have used it; for arq's `on_shutdown`."""
        if self._scheduler is None and self._used is not None:
            await self._used.aclose()

    def _wrapped(self, function: Any, name: str) -> Any:
        @functools.wraps(function)
        async def in_slot(ctx: Mapping[Any, Any], *args: Any, **kwargs: Any) -> Any:
            labels = {
                label: getattr(function, label) for label in LABELS if hasattr(function, label)
            }
            labels |= {label: kwargs.pop(label) for label in LABELS if label in kwargs}
            terms = self._options.terms(name, labels)
            if terms is None:
                return await function(ctx, *args, **kwargs)

            async def put_off(error: LocoRedisError) -> NoReturn:
                await self._put_off(ctx, error)

            self._used = self._scheduler or get_scheduler()
            return await terms.run(self._used, lambda: function(ctx, *args, **kwargs), put_off)

        return in_slot

    async def _put_off(self, ctx: Mapping[Any, Any], error: LocoRedisError) -> NoReturn:
        if self._options.on_timeout == "fail":
            raise error
        # arq has counted this try already.
        await ctx["redis"].decr(need("arq.constants", "arq").retry_key_prefix + ctx["job_id"])
        raise need("arq", "arq").Retry(defer=self._options.retry_in) from error
