"""One call of an agent: attempts, each with a slot of its own, and back-offs without."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from loco_redis import _validate as validate
from loco_redis.backoff import Backoff
from loco_redis.errors import ForkedError, LocoRedisError
from loco_redis.orchestration.loops._slots import Held, Slots
from loco_redis.orchestration.loops.values import AsyncInvocationResult, AsyncLoopConfig

Work = Callable[..., Awaitable[Any]]


class Call(NamedTuple):
    """What is to be called, and for whom."""

    agent_id: str
    fn: Work
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @classmethod
    def of(cls, agent_id: str, fn: Work, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
        """Raises ValueError for a bad agent id, or no function."""
        validate.agent_id(agent_id)
        if not callable(fn):
            raise ValueError(f"fn must be an async function, got {validate.shown(fn)}")
        return cls(agent_id, fn, tuple(args), dict(kwargs))

    @classmethod
    def parsed(cls, index: int, entry: Any) -> Call:
        """Of an entry of a list. Raises ValueError that names it."""
        shape = isinstance(entry, tuple | list) and len(entry) == 4
        if not (shape and isinstance(entry[2], tuple | list) and isinstance(entry[3], Mapping)):
            raise ValueError(
                f"tasks[{index}] must be (agent_id, fn, args, kwargs), such as "
                f"('writer', write, ('a topic',), {{}}), got {validate.shown(entry)}"
            )
        try:
            return cls.of(*entry)
        except ValueError as error:
            raise ValueError(f"tasks[{index}]: {error}") from None

    async def run(self, timeout: float | None) -> Any:
        """The work's result. Raises what it raises; TimeoutError."""
        scope = asyncio.timeout(timeout)
        try:
            async with scope:
                made = self.fn(*self.args, **self.kwargs)
                if not inspect.isawaitable(made):
                    raise TypeError(
                        f"fn returned {validate.shown(made)}, which cannot be awaited: "
                        "give an async function"
                    )
                return await made
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise TimeoutError(f"no result within {timeout:g} s") from error


class Invocation:
    """A call under way.

    Attributes:
        started: when it first got a slot, by time.perf_counter; None before.
    """

    def __init__(self, call: Call, slots: Slots, config: AsyncLoopConfig, backoff: Backoff) -> None:
        self._call, self._slots, self._config, self._backoff = call, slots, config, backoff
        self._waited = 0.0
        self.started: float | None = None

    @property
    def latency(self) -> float:
        """Seconds since it first got a slot, 0.0 if it never did."""
        return 0.0 if self.started is None else time.perf_counter() - self.started

    async def run(self) -> AsyncInvocationResult:
        """Raises what is neither the work's fault nor a refusal: cancellation, and misuse."""
        retries = 0
        while True:
            output, error = await self._attempt()
            if error is None or retries == self._config.max_retries:
                break
            if not self._config.retries(error):
                break
            retries += 1
            await asyncio.sleep(self._backoff.delay(retries))
        return AsyncInvocationResult(
            agent_id=self._call.agent_id,
            success=error is None,
            output=output,
            error=None if error is None else _named(error),
            latency_ms=self.latency * 1000,
            retries=retries,
            waited_ms=self._waited * 1000,
            exception=error,
        )

    async def _attempt(self) -> tuple[Any, BaseException | None]:
        """The work's result, and its error or that of the slot."""
        asked, began = time.perf_counter(), False
        try:
            async with Held(self._slots).acquired(self._call.agent_id):
                began = True
                self._begin(asked)
                return await self._call.run(self._config.timeout_seconds), None
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return None, error  # nobody has cancelled us: the work awaited something cancelled
        except Exception as error:
            if not (began or isinstance(error, LocoRedisError)) or isinstance(error, ForkedError):
                raise  # such as a scheduler that belongs to another event loop
            if not began:
                self._waited += time.perf_counter() - asked
            return None, error

    def _begin(self, asked: float) -> None:
        now = time.perf_counter()
        self._waited += now - asked
        if self.started is None:
            self.started = now


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
