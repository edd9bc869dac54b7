"""Which end a task has that got no slot; nothing here needs a server."""

from __future__ import annotations

from typing import Any

import pytest
from a2a.server.agent_execution import RequestContext
from a2a.server.context import ServerCallContext
from a2a.server.events import EventQueue
from a2a.types import Task, TaskState

from loco_redis import BackendUnavailableError, ShutdownError
from loco_redis.adapters.a2a._events import announce, refuse


class Seen(EventQueue):
    def __init__(self) -> None:
        self.events: list[Any] = []

    async def enqueue_event(self, event: Any) -> None:
        self.events.append(event)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ShutdownError("llm"), TaskState.TASK_STATE_REJECTED),
        (BackendUnavailableError("llm", "refused"), TaskState.TASK_STATE_FAILED),
    ],
)
@pytest.mark.parametrize("announced", [False, True])
async def test_a_refusal_rejects_and_a_broken_backend_fails(
    error: Exception, state: TaskState, announced: bool
) -> None:
    seen, context = Seen(), RequestContext(ServerCallContext(), task_id="t", context_id="c")
    queue = await announce(context, seen) if announced else seen
    await refuse(context, queue, error)
    last = seen.events[-1]
    assert isinstance(last, Task) is not announced
    assert last.status.state == state
    assert last.status.message.parts[0].text == str(error)
    assert last.context_id == "c"
