"""A fleet inside the test: slots held and waited for, until the test is over."""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType
from typing import Any, Self

from loco_redis import LocoRedisError, LOCOScheduler, SharedResource
from loco_redis.blocking import BlockingHandle
from loco_redis.observe import Link, Observer
from tests.waiting import wait_until


class Fleet:
    """Two schedulers of one resource: one holds, the other waits.

    Attributes:
        handles: what is held, in the order in which it was granted.
        errors: how waiting ended, where it did so by an error.
    """

    def __init__(self, url: str, name: str, capacity: int, **options: Any) -> None:
        self.url, self.name = url, name
        resource = SharedResource(name, capacity=capacity)
        self.holder = LOCOScheduler(resource=resource, redis=url, **options)
        self.waiter = LOCOScheduler(resource=SharedResource(name), redis=url)
        self.handles: list[BlockingHandle] = []
        self.errors: list[Exception] = []
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self.holder.__enter__()
        self.waiter.__enter__()
        self._link = Link(self.url)
        self.observer = Observer(self._link, self.name)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self.waiter.close()
        self.holder.close()
        for thread in self._threads:
            thread.join()
        self._link.close()

    def hold(self, agent: str, **options: Any) -> BlockingHandle:
        handle = self.holder.acquire_start(agent, nested="allow", **options)
        self.handles.append(handle)
        return handle

    def wait(self, agent: str, **options: Any) -> None:
        """A request that Redis has in its queue when this returns; once granted it holds until
        the end."""
        before = self.observer.snapshot().waiting
        thread = threading.Thread(target=self._wait, args=(agent, options), daemon=True)
        thread.start()
        self._threads.append(thread)
        wait_until(lambda: self.observer.snapshot().waiting > before, what=f"{agent} to wait")

    def _wait(self, agent: str, options: dict[str, Any]) -> None:
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(self.waiter.acquire(agent, **options))
                self._over.wait()
        except LocoRedisError as error:
            self.errors.append(error)
