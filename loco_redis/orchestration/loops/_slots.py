"""Where an agent loop gets its slots: of this loop alone, or of the fleet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Protocol

from loco_redis.errors import ReentrantAcquireError
from loco_redis.scheduler import AsyncLOCOScheduler


class Slots(Protocol):
    """`async with slots.acquire("agent"):` waits for a slot, holds it and gives it back."""

    name: str

    def acquire(self, agent_id: str) -> AbstractAsyncContextManager[object]: ...


class LocalSlots:
    """So many at once in this loop, first come, first served."""

    name = "the agent loop"

    def __init__(self, most: int) -> None:
        self._free = asyncio.Semaphore(most)

    @asynccontextmanager
    async def acquire(self, agent_id: str) -> AsyncIterator[None]:
        async with self._free:
            yield


class FleetSlots:
    """Those of a scheduler's resource. Each attempt is a task of weight 1 of its own; without a
    weight it would take one of the agent's durable tasks from the queue."""

    def __init__(self, scheduler: AsyncLOCOScheduler) -> None:
        self._scheduler = scheduler
        self.name = scheduler.name

    def acquire(self, agent_id: str) -> AbstractAsyncContextManager[object]:
        return self._scheduler.acquire(agent_id, weight=1.0)


class Held:
    """A slot as long as it is held. Code that runs `inside` it, and the tasks that it starts, get
    an error instead of another slot of the same loop: with each holder waiting for another slot,
    none would ever come free."""

    __slots__ = ("_of", "live")

    def __init__(self, of: Slots) -> None:
        self._of = of
        self.live = False

    @asynccontextmanager
    async def acquired(self, agent_id: str) -> AsyncIterator[None]:
        """Raises ReentrantAcquireError where one is held already."""
        if any(held.live and held._of is self._of for held in _inside.get()):
            raise ReentrantAcquireError(self._of.name)
        async with self._of.acquire(agent_id):
            self.live = True
            try:
                with self.inside():
                    yield
            finally:
                self.live = False

    @contextmanager
    def inside(self) -> Iterator[None]:
        _inside.set((*(held for held in _inside.get() if held.live), self))
        try:
            yield
        finally:
            # Not by a token: an async generator may be closed in another context than it began in.
            _inside.set(tuple(held for held in _inside.get() if held is not self))


_inside: ContextVar[tuple[Held, ...]] = ContextVar("loco_redis_loop_slots", default=())
