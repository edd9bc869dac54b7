"""An executor as users write it: it does what the message says, and counts itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from a2a.helpers import new_text_artifact, new_text_message
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.tasks import TaskUpdater
from a2a.types import Part, Task, TaskState, TaskStatus

from loco_redis.context import current


class Inner(AgentExecutor):
    """Knows nothing of slots.

    Attributes:
        agents: as which agent each of its runs was made.
        running, peak: how many run now, and did at most.
        go: what "hang" waits for.
        inside: called while it works.
    """

    def __init__(self) -> None:
        self.inside: Callable[[], Awaitable[None]] | None = None
        self.agents: list[str] = []
        self.cancelled: list[str] = []
        self.running = self.peak = 0
        self.go = asyncio.Event()

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        caller = current()
        assert caller is not None
        self.agents.append(caller.agent_id)
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            if self.inside is not None:
                await self.inside()
            await self._work(context.get_user_input(), context, event_queue)
        finally:
            self.running -= 1

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        self.cancelled.append(context.task_id)
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()

    async def _work(self, text: str, context: RequestContext, queue: EventQueue) -> None:
        ids = {"context_id": context.context_id}
        if text == "message":
            await queue.enqueue_event(new_text_message("hello", task_id=context.task_id, **ids))
            return
        if text == "whole":
            status = TaskStatus(state=TaskState.TASK_STATE_COMPLETED)
            artifacts = [new_text_artifact("greeting", "hello")]
            whole = Task(id=context.task_id, status=status, artifacts=artifacts, **ids)
            await queue.enqueue_event(whole)
            return
        if context.current_task is None:  # as the SDK's samples do it
            status = TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)
            await queue.enqueue_event(Task(id=context.task_id, status=status, **ids))
        updater = TaskUpdater(queue, context.task_id, context.context_id)
        await updater.start_work()
        if text == "ask":
            await updater.requires_input(new_text_message("which?", **ids))
            return
        if text == "fail":
            raise RuntimeError("boom")
        if text == "hang":
            await self.go.wait()
        await updater.add_artifact([Part(text="hello")])
        await updater.complete()
