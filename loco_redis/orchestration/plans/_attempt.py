"""One attempt at a step: wait for its slot, call its handler, word what came out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from loco_redis._validate import shown
from loco_redis.errors import (
    BackendError,
    ForkedError,
    LeaseLostError,
    LocoRedisError,
    PlanError,
    ReentrantAcquireError,
    ShutdownError,
    UnknownPlanError,
)
from loco_redis.orchestration._calling import Threads
from loco_redis.orchestration.plans._json import as_json, one_line
from loco_redis.orchestration.plans._slots import Slots
from loco_redis.orchestration.plans._store import Claim, Store
from loco_redis.orchestration.plans.context import StepContext
from loco_redis.orchestration.plans.step import Step

#: Not the step's fault: they end the run, which can be begun again.
FATAL = (BackendError, ForkedError, ReentrantAcquireError, ShutdownError, UnknownPlanError)
_MOST_ERROR = 2000


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended: done (text: JSON), failed (text: the error), or back (its slot was
    lost; it is to be made again)."""

    outcome: str
    text: str


class Attempts:
    """What all attempts of a run have in common."""

    def __init__(
        self,
        store: Store,
        steps: tuple[Step, ...],
        slots: Slots,
        handlers: Mapping[str, Callable[[StepContext], Any]],
        threads: Threads,
    ) -> None:
        self._store, self._steps, self._slots = store, steps, slots
        self._handlers, self._threads = handlers, threads
        self._places = {step.name: place for place, step in enumerate(steps)}

    async def make(self, claim: Claim, on_begin: Callable[[], Awaitable[None]]) -> Outcome:
        """Hold the step's slots and call its handler; `on_begin` is called before.

        Raises:
            FATAL: it was not the step that failed.
            Anything that `on_begin` raises.
        """
        step, call = self._steps[claim.place], _Call()
        try:
            results = await self._results(step)
            async with self._slots.held(step) as leases:
                await on_begin()
                context = StepContext(
                    plan_id=self._store.plan_id,
                    step=step,
                    inputs=self._store.stored.inputs,
                    results=results,
                    attempt=claim.attempt,
                    token=claim.fence,
                    lease=next(iter(leases.values())),
                    leases=leases,
                )
                async with call.within(step.timeout):
                    value = await self._threads.call(self._handlers[step.name], context)
            return Outcome("done", as_json("what the handler returned", value))
        except LeaseLostError:
            return Outcome("back", "")
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return Outcome("failed", _worded(error))  # of something that the handler awaited
        except Exception as error:
            is_steps = isinstance(error, LocoRedisError) and not isinstance(error, FATAL)
            if error is call.error or is_steps:
                return Outcome("failed", _worded(error, call.timed_out))
            raise

    async def _results(self, step: Step) -> dict[str, Any]:
        places = [self._places[name] for name in step.depends_on]
        found = await self._store.results(places) if places else {}
        return {self._steps[place].name: value for place, value in found.items()}


class _Call:
    """The call of a handler.

    Attributes:
        error: what it raised.
        timed_out: it was ended by its timeout, in seconds.
    """

    error: Exception | None = None
    timed_out: float | None = None

    @asynccontextmanager
    async def within(self, timeout: float | None) -> AsyncIterator[None]:
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                yield
        except Exception as error:
            self.error = error
            self.timed_out = timeout if limit.expired() else None
            raise


def _worded(error: BaseException, timed_out: float | None = None) -> str:
    text = f"not done within {timed_out:g} s" if timed_out is not None else str(error)
    return one_line(f"{type(error).__name__}: {text}", _MOST_ERROR)


def by_step(
    steps: Iterable[Step], handlers: Mapping[str, Callable[[StepContext], Any]]
) -> dict[str, Callable[[StepContext], Any]]:
    """Step -> its handler: by its name, else its agent, else "*". Raises PlanError."""
    if not isinstance(handlers, Mapping):
        raise PlanError(f"handlers must be a mapping, such as {{'*': f}}, got {shown(handlers)}")
    found, missing = {}, []
    for step in steps:
        handler = handlers.get(step.name) or handlers.get(step.agent) or handlers.get("*")
        if handler is None:
            missing.append(step.name)
        elif not callable(handler):
            raise PlanError(f"the handler of step {shown(step.name)} is not callable: {handler!r}")
        else:
            found[step.name] = handler
    if missing:
        raise PlanError(f"no handler for steps {shown(missing)}: name them, their agents, or '*'")
    return found
