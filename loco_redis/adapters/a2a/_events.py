"""What a client sees of a task that waits for a slot, or is turned away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from a2a.server.agent_execution import RequestContext
from a2a.server.events import EventQueue
from a2a.server.tasks import TaskUpdater
from a2a.types import (
    Message,
    Part,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value

from loco_redis.adapters.a2a._extension import EXTENSION_URI
from loco_redis.errors import BackendError, LeaseLostError, SessionExpiredError

_BROKEN = (BackendError, LeaseLostError, SessionExpiredError)  # nobody has decided these


class AnnouncedQueue(EventQueue):
    """The queue of a task that the client has heard of before its executor began.

    The executor may not know that: a whole Task, or a Message as the only answer, goes on as
    the updates that say the same, as the SDK would drop the one and refuse the other.
    """

    def __init__(self, queue: EventQueue, context: RequestContext) -> None:
        self._queue = queue
        self._ids = {"task_id": context.task_id, "context_id": context.context_id}

    async def enqueue_event(self, event: Any) -> None:
        if isinstance(event, Message):
            status = _status(TaskState.TASK_STATE_COMPLETED, event)
            event = TaskStatusUpdateEvent(**self._ids, status=status)
        if not isinstance(event, Task):
            await self._queue.enqueue_event(event)
            return
        for artifact in event.artifacts:
            update = TaskArtifactUpdateEvent(**self._ids, artifact=artifact, last_chunk=True)
            await self._queue.enqueue_event(update)
        status = event.status
        if status.state > TaskState.TASK_STATE_SUBMITTED or status.HasField("message"):
            update = TaskStatusUpdateEvent(**self._ids, status=status, metadata=event.metadata)
            await self._queue.enqueue_event(update)


async def announce(context: RequestContext, queue: EventQueue) -> EventQueue:
    """Let the client know the task, so that it can cancel it while it waits. Returns the queue for
    its executor."""
    if context.current_task is not None:
        return queue
    await queue.enqueue_event(_task(context, _status(TaskState.TASK_STATE_SUBMITTED)))
    return AnnouncedQueue(queue, context)


async def refuse(context: RequestContext, queue: EventQueue, error: Exception) -> None:
    """The task gets no slot: it is rejected, or failed where it was Redis that failed. One that
    waits for input goes on waiting for it, so that the client may send it again."""
    said: dict[str, Any] = {"error": type(error).__name__}
    if (retry_after := getattr(error, "retry_after", None)) is not None:
        said["retryAfter"] = retry_after
    updater = TaskUpdater(queue, context.task_id, context.context_id)
    message = updater.new_agent_message([Part(text=str(error))], metadata={EXTENSION_URI: said})
    if context.current_task is not None:
        await updater.update_status(context.current_task.status.state, message)
        return
    is_broken = isinstance(error, _BROKEN)
    state = TaskState.TASK_STATE_FAILED if is_broken else TaskState.TASK_STATE_REJECTED
    if isinstance(queue, AnnouncedQueue):
        await updater.update_status(state, message)
    else:
        await queue.enqueue_event(_task(context, _status(state, message)))


def data_part(data: Mapping[str, Any]) -> Part:
    return Part(data=ParseDict(data, Value()), media_type="application/json")


def _task(context: RequestContext, status: TaskStatus) -> Task:
    history = [context.message] if context.message is not None else []
    return Task(id=context.task_id, context_id=context.context_id, status=status, history=history)


def _status(state: TaskState, message: Message | None = None) -> TaskStatus:
    status = TaskStatus(state=state, message=message)
    status.timestamp.GetCurrentTime()
    return status
