"""A slot for each A2A task: what it asks for, and holding the slot while it is worked on."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypedDict

from a2a.server.agent_execution import RequestContext
from a2a.server.events import EventQueue

from loco_redis import _validate as validate
from loco_redis.adapters._calls.schedulers import async_scheduler
from loco_redis.adapters.a2a._events import announce, refuse
from loco_redis.adapters.a2a._extension import A2AScheduling, SLOClass
from loco_redis.context import DEFAULT_AGENT, agent, current
from loco_redis.errors import LocoRedisError
from loco_redis.lease import Lease
from loco_redis.models import Task
from loco_redis.scheduler import AsyncLOCOScheduler

Decide = Callable[[RequestContext, A2AScheduling], A2AScheduling]
Work = Callable[[EventQueue, Lease], Awaitable[None]]


class SlotArguments(TypedDict, total=False):
    """What the executor and the scheduler agent take.

    Attributes:
        agent_id: for whom a task is where neither its request nor `loco_redis.agent` says it.
        weight: of a task where neither its request nor its class says it; 1.0.
        timeout: seconds to wait for a slot; None: for ever.
        slo_classes: the classes that a request may name.
        decide: called with the request and what it asks for, `agent_id` and `weight` filled in;
            returns what it gets. It may raise ValueError, which refuses it. Without it, whoever
            can send requests can name any agent.
    """

    agent_id: str
    weight: float
    timeout: float | None
    slo_classes: Mapping[str, SLOClass] | None
    decide: Decide | None


@dataclass(frozen=True, slots=True)
class Order:
    """The arguments of an acquire."""

    agent_id: str
    task: Task
    timeout: float | None


class TaskSlots:
    """Runs the work of tasks, each in a slot of its own.

    Attributes:
        waiting: the ids of the A2A tasks that wait for their first one.
    """

    def __init__(
        self,
        scheduler: AsyncLOCOScheduler | None = None,
        *,
        agent_id: str = DEFAULT_AGENT,
        weight: float = 1.0,
        timeout: float | None = None,
        slo_classes: Mapping[str, SLOClass] | None = None,
        decide: Decide | None = None,
    ) -> None:
        validate.agent_id(agent_id)
        self._default = SLOClass(weight, timeout)
        self._agent_id, self._decide = agent_id, decide
        self.classes = MappingProxyType(dict(slo_classes or {}))
        self.scheduler = async_scheduler(scheduler)
        self.waiting: set[str] = set()

    def order(self, context: RequestContext, asked: A2AScheduling | None = None) -> Order:
        """What a request asks for; `asked` by its metadata if it is not given. Raises ValueError
        for what there is not."""
        asked = asked if asked is not None else A2AScheduling.of(context.metadata)
        caller = current()
        by_context = caller.agent_id if caller is not None else self._agent_id
        weight = self._class_of(asked).weight if asked.weight is None else asked.weight
        asked = replace(asked, agent_id=asked.agent_id or by_context, weight=weight)
        if self._decide is not None:
            asked = self._decide(context, asked)
        task = caller.task(weight) if caller is not None else Task()
        kind = f"a2a:{asked.slo}" if asked.slo is not None else "a2a"
        task = replace(task, weight=asked.weight or weight, task_type=kind)
        limits = (self._class_of(asked).timeout, self._default.timeout)
        timeout = min((limit for limit in limits if limit is not None), default=None)
        return Order(asked.agent_id or by_context, task, timeout)

    async def run(
        self,
        context: RequestContext,
        queue: EventQueue,
        order: Order,
        work: Work,
        announces: bool = True,
    ) -> bool:
        """Wait for the slot and hold it exactly while `work` runs. False: it was refused, as the
        client has been told."""
        async with AsyncExitStack() as stack:
            if context.current_task is None:
                self.waiting.add(context.task_id)
            try:
                queue = await announce(context, queue) if announces else queue
                lease = await stack.enter_async_context(
                    self.scheduler().acquire(
                        order.agent_id, order.task, timeout=order.timeout, nested="share"
                    )
                )
            except LocoRedisError as error:
                await refuse(context, queue, error)
                return False
            finally:
                self.waiting.discard(context.task_id)
            with agent(order.agent_id):
                await work(queue, lease)
        return True

    def _class_of(self, asked: A2AScheduling) -> SLOClass:
        if asked.slo is None:
            return self._default
        if asked.slo not in self.classes:
            known = ", ".join(map(repr, sorted(self.classes))) or "none"
            raise ValueError(f"no SLO class {validate.shown(asked.slo)}: there is {known}")
        return self.classes[asked.slo]


def timeout_of(given: object, limit: float | None) -> float | None:
    """The shorter one of what a caller gives and what there is. Raises ValueError."""
    if given is None:
        return limit
    seconds = validate.seconds("timeout", given, 0, math.inf)
    return seconds if limit is None else min(seconds, limit)
