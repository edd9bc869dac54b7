"""A slot for each task of an A2A agent."""

from __future__ import annotations

from typing import Any, Unpack

from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.tasks import TaskUpdater
from a2a.utils.errors import InternalError, InvalidParamsError

from loco_redis.adapters.a2a._events import refuse
from loco_redis.adapters.a2a._extension import add_extension
from loco_redis.adapters.a2a._slots import Order, SlotArguments, TaskSlots
from loco_redis.errors import LeaseLostError
from loco_redis.lease import Lease
from loco_redis.scheduler import AsyncLOCOScheduler


class A2AExecutor(AgentExecutor):
    """Runs another executor's tasks, each in a slot: pass it to the SDK's request handler.

    The slot is held exactly while `executor.execute` runs, however that ends; a task that is
    cancelled while it waits never reaches the executor. Inside, `loco_redis.agent` is the task's
    agent, and calls through other adapters use the slot. A client that goes away ends nothing, as
    A2A has it: it may come back for the task.

    Args:
        executor: yours.
        scheduler: None: the configured one.
        announce: let the client know the task at once, "submitted", so that it can cancel it while
            it waits. False keeps an executor's answer by a single Message what it is.
        options: as of SlotArguments.

    Raises:
        ValueError: bad arguments.
    """

    def __init__(
        self,
        executor: AgentExecutor,
        scheduler: AsyncLOCOScheduler | None = None,
        *,
        announce: bool = True,
        **options: Unpack[SlotArguments],
    ) -> None:
        self._executor, self._announces = executor, announce
        self._slots = TaskSlots(scheduler, **options)
        self._resource = scheduler.name if scheduler is not None else None

    def __repr__(self) -> str:
        return f"<A2AExecutor {self._executor!r} waiting={len(self._slots.waiting)}>"

    def advertise(self, card: Any) -> Any:
        """The card, in which is now said that this agent understands the extension."""
        return add_extension(card, resource=self._resource, slo_classes=self._slots.classes)

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        order = await self._order(context, event_queue)
        if order is None:
            return

        async def work(queue: EventQueue, lease: Lease) -> None:
            await self._executor.execute(context, queue)

        try:
            await self._slots.run(context, event_queue, order, work, self._announces)
        except LeaseLostError as error:
            raise InternalError(str(error)) from error

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        if context.task_id in self._slots.waiting:  # the executor does not know it yet
            await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()
        else:
            await self._executor.cancel(context, event_queue)

    async def _order(self, context: RequestContext, queue: EventQueue) -> Order | None:
        try:
            return self._slots.order(context)
        except ValueError as error:
            if context.current_task is None:
                raise InvalidParamsError(str(error)) from error
            await refuse(context, queue, error)  # an error would end the task that goes on here
            return None
