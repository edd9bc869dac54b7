"""The schedulers behind the one-line API: one for each event loop, one for all threads."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from dataclasses import dataclass
from typing import Any

from loco_redis.blocking import LOCOScheduler
from loco_redis.models import Agent, SharedResource
from loco_redis.scheduler import AsyncLOCOScheduler
from loco_redis.shortcuts._budget_mode import BudgetMode
from loco_redis.shortcuts._loop_scheduler import LoopScheduler


@dataclass(frozen=True)
class Configuration:
    """What all schedulers of the process are made with: values only, nothing that belongs to one
    of them."""

    resource: SharedResource
    agents: tuple[Agent, ...]
    budget_mode: str | None
    options: dict[str, Any]

    def scheduler(self) -> AsyncLOCOScheduler:
        """Raises ValueError for bad arguments."""
        return AsyncLOCOScheduler(self.agents, self.resource, **self._own())

    def blocking_scheduler(self) -> LOCOScheduler:
        return LOCOScheduler(self.agents, self.resource, **self._own())

    def _own(self) -> dict[str, Any]:
        mode = self.budget_mode
        return {**self.options, "budget": BudgetMode(mode) if mode is not None else None}


class Defaults:
    """Makes schedulers when they are first asked for, and knows them until they end."""

    def __init__(self) -> None:
        self._configuration: Configuration | None = None
        self._inherited: list[object] = []
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._loops: dict[asyncio.AbstractEventLoop, LoopScheduler] = {}
        self._blocking: LOCOScheduler | None = None

    def after_fork(self) -> None:
        """The child has the configuration, and makes its own schedulers. Its parent's are kept, so
        that no finalizer touches what the parent uses."""
        self._inherited.append((self._loops, self._blocking))
        self._begin()

    def configure(self, configuration: Configuration) -> None:
        """Raises RuntimeError while schedulers with another one are in use."""
        with self._lock:
            if configuration == self._configuration:
                return
            self._drop_ended()
            if self._blocking is not None or any(x.in_use for x in self._loops.values()):
                raise RuntimeError(
                    f"{self._resource_name!r} is configured otherwise, and in use: "
                    "await loco_redis.reset() first, or make an AsyncLOCOScheduler for another"
                )
            self._configuration = configuration

    def scheduler(self) -> AsyncLOCOScheduler:
        """Raises RuntimeError without a configuration or a running loop."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "no event loop runs in this thread: call it in async code, or use "
                "loco_redis.get_blocking_scheduler()"
            ) from None
        with self._lock:
            known = self._loops.get(loop)
            if known is not None and known.in_use:
                return known.scheduler
            self._drop_ended()
            scheduler = self._known_configuration().scheduler()
            if known is not None:
                known.renew(scheduler)
            else:
                self._loops[loop] = LoopScheduler(scheduler)
            return scheduler

    def blocking_scheduler(self) -> LOCOScheduler:
        """Raises RuntimeError without a configuration."""
        with self._lock:
            self._drop_ended()
            if self._blocking is None:
                self._blocking = self._known_configuration().blocking_scheduler()
            return self._blocking

    async def reset(self) -> None:
        """Forget the configuration, and close all schedulers."""
        with self._lock:
            loops, self._loops = self._loops, {}
            blocking, self._blocking = self._blocking, None
            self._configuration = None
        here = loops.pop(asyncio.get_running_loop(), None)
        try:
            if here is not None:
                # In this task, which may hold a slot itself: see LoopScheduler.aclose.
                await here.aclose()
        finally:
            closing = [entry.aclose_elsewhere() for entry in loops.values()]
            if blocking is not None:
                closing.append(asyncio.to_thread(blocking.close))
            await asyncio.gather(*closing)

    def at_exit(self) -> None:
        """Nobody has closed the blocking scheduler. Its thread is left to end with the process: to
        end it now may need new threads, which later versions of Python do not start any more."""
        blocking = self._blocking
        if blocking is not None and blocking._thread.running and not blocking._core._closed:
            blocking._thread.exiting()
            blocking._run(blocking._core.aclose(), finish=True)

    def _known_configuration(self) -> Configuration:
        if self._configuration is None:
            raise RuntimeError(
                "nothing is configured: call loco_redis.configure(capacity=3) first, at the start "
                "of the program"
            )
        return self._configuration

    @property
    def _resource_name(self) -> str:
        return self._known_configuration().resource.full_name

    def _drop_ended(self) -> None:
        for loop in [loop for loop in self._loops if loop.is_closed()]:
            del self._loops[loop]
        if self._blocking is not None and self._blocking._core._closed:
            self._blocking = None


defaults = Defaults()
os.register_at_fork(after_in_child=defaults.after_fork)
atexit.register(defaults.at_exit)
