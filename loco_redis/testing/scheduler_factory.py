"""What the fixtures `loco_scheduler`, `loco_fake_scheduler` and `loco_blocking_scheduler` give:
makers of schedulers, which are closed after the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from loco_redis._endpoint import AsyncClient
from loco_redis.blocking import LOCOScheduler
from loco_redis.errors import ShutdownError
from loco_redis.models import Agent, SharedResource
from loco_redis.scheduler import AsyncLOCOScheduler

_OPTIONS = {"backend_timeout": 5.0}  # a test should not try for half a minute


def _resource(capacity: int | None, resource: SharedResource | None) -> SharedResource:
    return SharedResource("test", capacity) if resource is None else resource


class SchedulerFactory:
    """`loco_scheduler(capacity=2, ...)`: an `AsyncLOCOScheduler`, which opens when it is first used
    or entered. All of one test share a server, and by default a resource."""

    def __init__(
        self, connect: Callable[[], str | AsyncClient], *, scripts: str | None = None
    ) -> None:
        """`connect` gives the argument `redis` of each scheduler; `scripts` is the only way in
        which that server runs scripts, if there is only one."""
        self._connect, self._scripts = connect, scripts
        self._made: list[tuple[AsyncLOCOScheduler, str | AsyncClient]] = []

    def __repr__(self) -> str:
        return f"<SchedulerFactory made={len(self._made)}>"

    def __call__(
        self,
        capacity: int | None = 1,
        agents: Iterable[Agent] = (),
        *,
        resource: SharedResource | None = None,
        **options: Any,
    ) -> AsyncLOCOScheduler:
        """A scheduler of a resource called "test", or of the one given, whose capacity counts.
        `options` are those of `AsyncLOCOScheduler`, without `redis`."""
        options = {**_OPTIONS, **options}
        if self._scripts is not None:
            asked = options.setdefault("scripts", self._scripts)
            if asked != self._scripts:
                raise ValueError(f"scripts={asked!r} needs a real server: use loco_scheduler")
        redis = self._connect()
        shared = _resource(capacity, resource)
        scheduler = AsyncLOCOScheduler(agents, shared, redis=redis, **options)
        self._made.append((scheduler, redis))
        return scheduler

    def close(self) -> None:
        """Close each scheduler in the event loop that opened it, which is not running now.

        Raises:
            RuntimeError: a loop has ended before its scheduler was closed.
        """
        left: list[AsyncLOCOScheduler] = []
        for scheduler, redis in reversed(self._made):
            session = scheduler._session
            if session is None:
                continue
            if not session.loop.is_closed():
                session.loop.run_until_complete(_close(scheduler, redis))
            elif not session.is_closing:
                left.append(scheduler)
        self._made.clear()
        if left:
            raise RuntimeError(
                f"the event loop of {left[0]!r} has ended before it was closed: use it by "
                "`async with`, or run the test by pytest-asyncio"
            )


async def _close(scheduler: AsyncLOCOScheduler, redis: str | AsyncClient) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.add_done_callback(_left_behind)
    await scheduler.aclose()
    for task in others:  # the loop may live on, and they with it
        task.remove_done_callback(_left_behind)
    if not isinstance(redis, str):
        await redis.aclose()


def _left_behind(task: asyncio.Task[Any]) -> None:
    """A task that waits for a slot yet gets ShutdownError, which nobody will ask for: it would be
    logged at some later time, in some other test."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, ShutdownError):
        text = "a task that its test left behind has failed"
        context = {"message": text, "exception": error, "task": task}
        task.get_loop().call_exception_handler(context)


class BlockingSchedulerFactory:
    """`loco_blocking_scheduler(capacity=2, ...)`: a `LOCOScheduler`; as `SchedulerFactory`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._made: list[LOCOScheduler] = []

    def __repr__(self) -> str:
        return f"<BlockingSchedulerFactory made={len(self._made)}>"

    def __call__(
        self,
        capacity: int | None = 1,
        agents: Iterable[Agent] = (),
        *,
        resource: SharedResource | None = None,
        **options: Any,
    ) -> LOCOScheduler:
        """As `SchedulerFactory`; `options` are those of `LOCOScheduler`, without `redis`."""
        shared = _resource(capacity, resource)
        scheduler = LOCOScheduler(agents, shared, redis=self._url, **{**_OPTIONS, **options})
        self._made.append(scheduler)
        return scheduler

    def close(self) -> None:
        for scheduler in reversed(self._made):
            scheduler.close()
        self._made.clear()
