"""The in-memory loco-agent, by the API of its documents: submit, acquire, serve the oldest task."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType

from loco import Agent, AsyncLOCOScheduler, SharedResource, Task

from benchmarks.peers.ways.slot import Slot


@asynccontextmanager
async def in_memory(url: str, name: str, slots: int, tasks: int) -> AsyncIterator[Slot]:
    """Each task is an agent of its own. `max_waiters` lets all of them wait: the default is 100."""
    agents = [Agent(agent_id=f"agent_{task}") for task in range(tasks)]
    resource = SharedResource(name, capacity=slots)
    scheduler = AsyncLOCOScheduler(agents, resource, optimize_for="balanced", max_waiters=tasks + 1)
    yield lambda task: _Served(scheduler, f"agent_{task}")


class _Served:
    def __init__(self, scheduler: AsyncLOCOScheduler, agent: str) -> None:
        self._scheduler, self._agent = scheduler, agent

    async def __aenter__(self) -> None:
        await self._scheduler.submit_task(self._agent, Task(weight=1.0))
        self._held: AbstractAsyncContextManager[object] = self._scheduler.acquire(self._agent)
        await self._held.__aenter__()
        self._scheduler.get_agent(self._agent).serve_oldest_task()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._held.__aexit__(exc_type, exc, traceback)
