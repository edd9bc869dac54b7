"""What the adapters of task queues share: a task's labels, and its body's time in a slot."""

from __future__ import annotations

import math
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Literal, TypeVar

from loco_redis import _validate as validate
from loco_redis._acquisition import Acquisition
from loco_redis.blocking import BlockingAcquisition, LOCOScheduler
from loco_redis.context import Caller, agent, current
from loco_redis.errors import AcquireTimeoutError, BackpressureError, LocoRedisError
from loco_redis.models import Task
from loco_redis.scheduler import AsyncLOCOScheduler
from loco_redis.shortcuts import get_blocking_scheduler

T = TypeVar("T")
OnTimeout = Literal["retry", "fail"]

AGENT, WEIGHT, TIMEOUT = "loco_agent", "loco_weight", "loco_timeout"
LABELS = (AGENT, WEIGHT, TIMEOUT)
# taskiq sends None as a string.
_OPTED_OUT = (None, False, "", "None")
_LATE = (AcquireTimeoutError, BackpressureError)


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """What every adapter of a task queue takes, and the tasks' labels override.

    Attributes:
        agent_id: of tasks without the label `loco_agent`; None: the task's name.
        weight: of tasks without the label `loco_weight`.
        timeout: seconds to wait for a slot, without the label `loco_timeout`; None: for ever.
        on_timeout: "retry" puts a task that got no slot in time back into its queue; "fail" raises
            the error in it. So it goes with one that `max_waiters` refuses.
        retry_in: seconds until it is tried again.

    Raises:
        ValueError: any of them out of range.
    """

    agent_id: str | None = None
    weight: float = 1.0
    timeout: float | None = None
    on_timeout: OnTimeout = "retry"
    retry_in: float = 1.0

    def __post_init__(self) -> None:
        SlotTerms("name" if self.agent_id is None else self.agent_id, self.weight, self.timeout)
        if self.on_timeout not in ("retry", "fail"):
            shown = validate.shown(self.on_timeout)
            raise ValueError(f"on_timeout must be 'retry' or 'fail', got {shown}")
        validate.seconds("retry_in", self.retry_in, 0, 86_400)

    def terms(self, name: str, labels: Mapping[str, Any]) -> SlotTerms | None:
        """Of the task of this name; None: it runs without a slot. Raises ValueError for labels out
        of range."""
        agent_id = labels.get(AGENT, name if self.agent_id is None else self.agent_id)
        if agent_id in _OPTED_OUT:
            return None
        weight = _number(WEIGHT, labels.get(WEIGHT, self.weight))
        timeout = labels.get(TIMEOUT, self.timeout)
        seconds = None if timeout in _OPTED_OUT else _number(TIMEOUT, timeout)
        return SlotTerms(agent_id, weight, seconds, name)


def _number(label: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{label} must be a number, got {validate.shown(value)}") from None


@dataclass(frozen=True, slots=True)
class SlotTerms:
    """The agent, the weight, the seconds to wait, and the name of one task. Raises ValueError."""

    agent_id: str
    weight: float = 1.0
    timeout: float | None = None
    name: str = ""

    def __post_init__(self) -> None:
        validate.agent_id(self.agent_id)
        validate.weight(self.weight)
        if self.timeout is not None:
            validate.seconds("timeout", self.timeout, 0, math.inf)

    async def run(
        self,
        scheduler: AsyncLOCOScheduler,
        body: Callable[[], Awaitable[T]],
        put_off: Callable[[LocoRedisError], Awaitable[T]],
    ) -> T:
        """Take a slot, await the body, give it back; or what `put_off` makes of the error."""
        caller, is_held = self._caller(), False
        try:
            async with self._slot(scheduler, caller):
                is_held = True
                with agent.of(caller):
                    return await body()
        except _LATE as error:
            if is_held:  # the body's own
                raise
            late = error
        return await put_off(late)

    def run_blocking(
        self,
        scheduler: LOCOScheduler,
        body: Callable[[], T],
        put_off: Callable[[LocoRedisError], T],
    ) -> T:
        """The same in a thread without an event loop."""
        caller, is_held = self._caller(), False
        try:
            with self._slot(scheduler, caller):
                is_held = True
                with agent.of(caller):
                    return body()
        except _LATE as error:
            if is_held:
                raise
            late = error
        return put_off(late)

    def _caller(self) -> Caller:
        return Caller(self.agent_id).within(current())

    def _slot(self, scheduler: Any, caller: Caller) -> Any:
        task: Task = replace(caller.task(self.weight), task_type=self.name)
        slot: Acquisition | BlockingAcquisition = scheduler.acquire(
            self.agent_id, task, timeout=self.timeout, nested="share"
        )
        return slot


class BlockingSchedulers:
    """The LOCOScheduler of each process: the one that is given, one that a function makes in each
    process which asks, or (None) the configured one. Raises ValueError for anything else."""

    def __init__(self, given: LOCOScheduler | Callable[[], LOCOScheduler] | None) -> None:
        if not (given is None or isinstance(given, LOCOScheduler) or callable(given)):
            raise ValueError(
                "scheduler must be a LOCOScheduler, a function that makes one, or None, "
                f"got {validate.shown(given)}"
            )
        self._given = given
        self._begin()

    def _begin(self) -> None:
        self._pid, self._lock = os.getpid(), Lock()
        self._used: LOCOScheduler | None = None

    def get(self) -> LOCOScheduler:
        if self._pid != os.getpid():  # what the parent has made is the parent's
            self._begin()
        with self._lock:
            if isinstance(self._given, LOCOScheduler):
                return self._given
            if self._given is None:
                self._used = get_blocking_scheduler()
            elif self._used is None:
                self._used = self._given()
            return self._used

    def close(self) -> None:
        """End what this process has used, unless it was given. A later `get` makes another."""
        if self._pid == os.getpid() and self._used is not None:
            used, self._used = self._used, None
            used.close()
