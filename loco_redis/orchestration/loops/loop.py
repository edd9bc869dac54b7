"""AsyncAgentLoop: calls of agents, so many at once, with timeouts, retries and streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from loco_redis import _validate as validate
from loco_redis.backoff import Backoff
from loco_redis.orchestration.loops._invocation import Call, Invocation, Work
from loco_redis.orchestration.loops._latencies import Latencies
from loco_redis.orchestration.loops._slots import FleetSlots, Held, LocalSlots, Slots
from loco_redis.orchestration.loops._stream import Patience, Stream, StreamFunction
from loco_redis.orchestration.loops.values import AsyncInvocationResult, AsyncLoopConfig
from loco_redis.scheduler import AsyncLOCOScheduler

__all__ = ["AsyncAgentLoop", "AsyncInvocationResult", "AsyncLoopConfig"]

T = TypeVar("T")
# Asyncio tasks that one run_all has at once, as long as max_concurrency is not more.
_MOST_TASKS = 1000


class AsyncAgentLoop:
    """Runs calls of agents. One event loop uses it; several calls at once are what it is for.

    Args:
        config: None for the defaults.
        scheduler: its slots are the limit, over the whole fleet, and it decides who is next; every
            attempt is a task of weight 1. None: `max_concurrency` calls at once in this loop.

    Raises:
        ValueError: of another type.
    """

    def __init__(
        self, config: AsyncLoopConfig | None = None, scheduler: AsyncLOCOScheduler | None = None
    ) -> None:
        if config is not None and not isinstance(config, AsyncLoopConfig):
            raise ValueError(f"config must be an AsyncLoopConfig, got {validate.shown(config)}")
        if scheduler is not None and not isinstance(scheduler, AsyncLOCOScheduler):
            raise ValueError(
                f"scheduler must be an AsyncLOCOScheduler, got {validate.shown(scheduler)}"
            )
        self.config = config or AsyncLoopConfig()
        self._backoff = Backoff(self.config.backoff_base, self.config.backoff_cap)
        self._slots: Slots = (
            LocalSlots(self.config.max_concurrency) if scheduler is None else FleetSlots(scheduler)
        )
        self._latencies = Latencies()
        self._running = 0

    def __repr__(self) -> str:
        return (
            f"<AsyncAgentLoop slots of {self._slots.name}, {self._running} running, "
            f"{self._latencies.count} measured>"
        )

    async def run_single(
        self, agent_id: str, fn: Work, *args: Any, **kwargs: Any
    ) -> AsyncInvocationResult:
        """Call `fn(*args, **kwargs)` with a slot, again where it failed and that may help.

        What the work raises, and a refusal of the scheduler, is in the result; being cancelled is
        passed on. The work may run more than once, and once more although its result was there, if
        the lease was lost meanwhile.

        Raises:
            ValueError: a bad agent id, no function.
        """
        return await self._invoke(Call.of(agent_id, fn, args, kwargs))

    async def run_all(
        self, tasks: Iterable[tuple[str, Work, Sequence[Any], Mapping[str, Any]]]
    ) -> list[AsyncInvocationResult]:
        """`run_single` for each (agent_id, fn, args, kwargs); the results in the same order.

        At most 1,000 calls (or `max_concurrency`, if that is more) are begun and not ended at any
        time, those waiting for a slot or backing off included. Cancelled, it ends them all.

        Raises:
            ValueError: before anything runs, naming the first bad entry.
        """
        calls = [Call.parsed(index, task) for index, task in enumerate(tasks)]
        results: list[Any] = [None] * len(calls)
        room = asyncio.Semaphore(max(_MOST_TASKS, self.config.max_concurrency))

        async def run(index: int) -> None:
            try:
                results[index] = await self._invoke(calls[index])
            finally:
                room.release()

        try:
            async with asyncio.TaskGroup() as group:
                for index in range(len(calls)):
                    await room.acquire()
                    group.create_task(run(index))
        except ExceptionGroup as errors:  # a bug, or the scheduler of another event loop
            raise errors.exceptions[0] from None
        return results

    def run_streaming(self, agent_id: str, stream_fn: StreamFunction[T]) -> AsyncGenerator[T, None]:
        """The items of `stream_fn()`, read while a slot is held: from the first item asked for
        until the stream ends or fails, or the generator is closed or dropped.

        There are no retries, as part of it has been used. A dropped generator is closed soon, by
        the event loop; use `contextlib.aclosing` to know when. In between items the consumer counts
        as holding the slot, and gets ReentrantAcquireError for another one of this loop.

        Raises:
            ValueError: at once, for a bad agent id. In `async for`: what the stream raises;
            TimeoutError; what acquiring raises; LeaseLostError.
        """
        validate.agent_id(agent_id)
        if not callable(stream_fn):
            raise ValueError(f"stream_fn must be a function, got {validate.shown(stream_fn)}")
        return self._stream(agent_id, stream_fn)

    def get_latency_stats(self) -> dict[str, float]:
        """p50_ms, p95_ms, p99_ms (of the nearest rank, off by 1 % at most), mean_ms and count.

        What is measured got a slot and has ended since the last reset: calls, those that failed
        included, and streams.
        """
        latencies = self._latencies
        percentiles = {f"p{p}_ms": latencies.quantile(p / 100) * 1000 for p in (50, 95, 99)}
        return {**percentiles, "mean_ms": latencies.mean * 1000, "count": latencies.count}

    def reset_metrics(self) -> None:
        """Forget all latencies."""
        self._latencies.clear()

    async def _stream(self, agent_id: str, stream_fn: StreamFunction[T]) -> AsyncGenerator[T, None]:
        held = Held(self._slots)
        patience = Patience(self.config.timeout_seconds, self.config.idle_timeout_seconds)
        stream = Stream(agent_id, stream_fn, held, patience, self._record)
        self._running += 1
        try:
            while True:
                try:
                    item = await stream.next()
                except StopAsyncIteration:
                    return
                with held.inside():
                    yield item
                del item
        finally:
            self._running -= 1
            await stream.aclose()

    async def _invoke(self, call: Call) -> AsyncInvocationResult:
        invocation = Invocation(call, self._slots, self.config, self._backoff)
        self._running += 1
        try:
            return await invocation.run()
        finally:
            self._running -= 1
            if invocation.started is not None:
                self._record(invocation.latency)

    def _record(self, seconds: float) -> None:
        if self.config.collect_metrics:
            self._latencies.record(seconds)
