"""The scheduler as an A2A agent: its card, and the ASGI app that serves it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from importlib.metadata import version
from typing import Any, Unpack

from a2a.server.context import ServerCallContext
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskStore
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    Task,
    TaskState,
)

from loco_redis import _validate as validate
from loco_redis._extras import need
from loco_redis.adapters.a2a._extension import add_extension
from loco_redis.adapters.a2a._skills import Skills
from loco_redis.adapters.a2a._slots import SlotArguments, TaskSlots
from loco_redis.scheduler import AsyncLOCOScheduler

_ENDED = {
    TaskState.TASK_STATE_COMPLETED,
    TaskState.TASK_STATE_CANCELED,
    TaskState.TASK_STATE_FAILED,
    TaskState.TASK_STATE_REJECTED,
}
_KEPT = 1000
_LONGEST_HOLD, _MAX_HOLD = 86_400.0, 3600.0  # seconds
_JSON = "application/json"


class A2ASchedulerAgent:
    """Shares a scheduler's slots with agents that speak only A2A.

    `uvicorn.run(agent.app)` serves it, or mount `agent.app` in an app of your own. Its skills are
    `submit`, `status` and `acquire`; what they take stands in the card. It authenticates nobody:
    put your own middleware around it, and `decide` what its users get.

    Args:
        scheduler: whose; it is not closed here.
        url: where clients reach the app, for its card.
        name: of the agent, in the card.
        max_hold: the most seconds for which `acquire` holds a slot, up to a day.
        task_store: where A2A tasks are kept; None: in memory, with the last 1000 that have ended.
        options: as of SlotArguments.

    Raises:
        ValueError: bad arguments.
    """

    def __init__(
        self,
        scheduler: AsyncLOCOScheduler,
        url: str,
        *,
        name: str | None = None,
        max_hold: float = _MAX_HOLD,
        task_store: TaskStore | None = None,
        **options: Unpack[SlotArguments],
    ) -> None:
        slots = TaskSlots(scheduler, **options)
        self.max_hold = validate.seconds("max_hold", max_hold, 0, _LONGEST_HOLD)
        self.executor = Skills(slots, self.max_hold)
        self._store = task_store if task_store is not None else RecentTasks(_KEPT)
        self._resource = scheduler.name
        self.card = self._card(name or f"Scheduler of {scheduler.name}", url)
        add_extension(self.card, resource=scheduler.name, slo_classes=slots.classes)

    def __repr__(self) -> str:
        url = self.card.supported_interfaces[0].url
        return f"<A2ASchedulerAgent {self._resource!r} at {url}>"

    @cached_property
    def app(self) -> Any:
        """An ASGI app: the card at its well-known path, JSON-RPC at the root. When it ends, so do
        the tasks, and their slots are free."""
        starlette = need("starlette.applications", "a2a")
        handler = DefaultRequestHandler(
            agent_executor=self.executor, task_store=self._store, agent_card=self.card
        )

        @asynccontextmanager
        async def lifespan(_: Any) -> AsyncIterator[None]:
            yield
            await self.executor.aclose()

        routes = create_agent_card_routes(self.card) + create_jsonrpc_routes(handler, rpc_url="/")
        return starlette.Starlette(routes=routes, lifespan=lifespan)

    def _card(self, name: str, url: str) -> AgentCard:
        return AgentCard(
            name=name,
            description=f"Shares the slots of {self._resource!r} fairly among agents: who needs "
            "them most, and waits longest, comes first",
            version=version("loco-redis"),
            supported_interfaces=[
                AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0")
            ],
            capabilities=AgentCapabilities(streaming=True),
            default_input_modes=[_JSON, "text/plain"],
            default_output_modes=[_JSON],
            skills=self._skills(),
        )

    def _skills(self) -> list[AgentSkill]:
        return [
            AgentSkill(
                id="submit",
                name="Submit a task",
                description="Queues a durable task for the workers of an agent; answers its "
                "task_id. Takes agent, weight, slo, payload, delay, deadline, max_attempts, "
                "dedup_key, result_ttl (times in seconds)",
                tags=["queue", "durable"],
                examples=['{"skill": "submit", "agent": "analyst", "payload": {"doc": 7}}'],
            ),
            AgentSkill(
                id="status",
                name="Show the status",
                description="Who holds slots, who waits, and each agent's score L(i). Takes limit",
                tags=["status", "monitoring"],
                examples=['{"skill": "status"}', "status"],
            ),
            AgentSkill(
                id="acquire",
                name="Hold a slot",
                description="A task that is submitted while it waits and works while it holds a "
                f"slot: for `seconds`, at most {self.max_hold:g}, or until you cancel the task. "
                "Takes agent, weight, slo, seconds, timeout (to wait, in seconds)",
                tags=["slot", "lease"],
                examples=['{"skill": "acquire", "agent": "analyst", "seconds": 30}'],
            ),
        ]


class RecentTasks(InMemoryTaskStore):
    """Forgets tasks that have ended, the oldest first, when there are more than `most`."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._ended: dict[str, ServerCallContext] = {}

    async def save(self, task: Task, context: ServerCallContext) -> None:
        await super().save(task, context)
        if task.status.state not in _ENDED:
            return
        self._ended.setdefault(task.id, context)
        while len(self._ended) > self._most:
            oldest = next(iter(self._ended))
            await super().delete(oldest, self._ended.pop(oldest))
