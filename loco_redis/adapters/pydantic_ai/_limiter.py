"""PydanticAI's concurrency limiter, over all processes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import deque
from typing import Any

from loco_redis import _validate as validate
from loco_redis._acquisition import AcquireHandle
from loco_redis._extras import need
from loco_redis.adapters._calls.schedulers import Given, async_scheduler
from loco_redis.context import DEFAULT_AGENT
from loco_redis.errors import LocoRedisError, ShutdownError
from loco_redis.models import Task
from loco_redis.scheduler import AsyncLOCOScheduler

need("pydantic_ai", "pydantic-ai")  # first: it names the package, not a part of it
_concurrency = need("pydantic_ai.concurrency", "pydantic-ai")
_Base: Any = _concurrency.AbstractConcurrencyLimiter

_log = logging.getLogger("loco_redis")

_Held = tuple[asyncio.AbstractEventLoop, AsyncLOCOScheduler, AcquireHandle]


class LOCOConcurrencyLimiter(_Base):
    """For what takes a concurrency limiter of PydanticAI: `Agent(max_concurrency=limiter)`, whose
    whole runs then have a slot each, or `ConcurrencyLimitedModel(model, limiter)`.

    `PydanticAIAdapter` does more: a limiter is told neither what a call uses, so no budget is
    charged, nor which of its slots is given back, so all are those of one agent.

    Args:
        scheduler: an AsyncLOCOScheduler, or None: the one that `loco_redis.configure` made.
        agent_id: whose slots they are.
        weight: of each.
        timeout: seconds to wait for a slot; None: for ever.

    Raises:
        ValueError: any of them out of range, or a LOCOScheduler.
    """

    def __init__(
        self,
        scheduler: Given = None,
        *,
        agent_id: str = DEFAULT_AGENT,
        weight: float = 1.0,
        timeout: float | None = None,
    ) -> None:
        validate.agent_id(agent_id)
        if timeout is not None:
            validate.seconds("timeout", timeout, 0, math.inf)
        self._scheduler = async_scheduler(scheduler)
        self._agent_id, self._timeout = agent_id, timeout
        self._task = Task(weight=weight, task_type="pydantic-ai:limiter", cost=0.0)
        self._held: deque[_Held] = deque()
        self._releasing: set[asyncio.Task[None]] = set()  # loops keep weak references only

    def __repr__(self) -> str:
        return f"<LOCOConcurrencyLimiter of {self._agent_id!r} held={len(self._held)}>"

    async def acquire(self, source: str) -> None:
        """Wait for a slot. `source` is what PydanticAI calls the place, for its logs.

        Raises what `AsyncLOCOScheduler.acquire` raises.
        """
        scheduler = self._scheduler()
        handle = await scheduler.acquire_start(
            self._agent_id, self._task, timeout=self._timeout, nested="share"
        )
        self._held.append((asyncio.get_running_loop(), scheduler, handle))

    def release(self) -> None:
        """Give back the slot that has been held for longest.

        Raises:
            RuntimeError: none is held.
        """
        if not self._held:
            raise RuntimeError(f"{self!r} holds no slot")
        loop, scheduler, handle = self._held.popleft()
        with contextlib.suppress(RuntimeError):  # the loop is closed, and its slots with it
            loop.call_soon_threadsafe(self._start_releasing, scheduler, handle)

    def _start_releasing(self, scheduler: AsyncLOCOScheduler, handle: AcquireHandle) -> None:
        task = asyncio.get_running_loop().create_task(
            self._release(scheduler, handle), name="loco_redis.call"
        )
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)

    async def _release(self, scheduler: AsyncLOCOScheduler, handle: AcquireHandle) -> None:
        try:
            await scheduler.release_handle(handle)
        except ShutdownError:
            pass  # its slots are given back
        except LocoRedisError as error:
            _log.warning("a run of %r went on without its slot: %s", self._agent_id, error)
