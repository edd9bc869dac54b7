"""A fleet's scheduler, an agent behind it on loopback, and clients of the SDK that ask it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from a2a.client import Client, ClientConfig, create_client
from a2a.helpers import new_text_message
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    CancelTaskRequest,
    GetTaskRequest,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    StreamResponse,
    Task,
    TaskState,
)
from starlette.applications import Starlette

from loco_redis import AsyncLOCOScheduler
from loco_redis.adapters.a2a import A2AExecutor, A2ASchedulerAgent, A2AScheduling, SLOClass
from loco_redis.testing import invariants
from tests.frameworks.a2a.executors import Inner
from tests.schedulers import Schedulers
from tests.waiting import eventually

CLASSES = {"interactive": SLOClass(4.0, timeout=20.0), "hasty": SLOClass(timeout=0.3)}


class Scene:
    """Serves agents, and closes all of it in the right order.

    Attributes:
        inner: what the agents of `serve` do.
    """

    def __init__(self, schedulers: Schedulers) -> None:
        self.schedulers, self.inner = schedulers, Inner()
        self._stack = AsyncExitStack()
        self._asking: list[asyncio.Task[Any]] = []

    async def serve(
        self, scheduler: AsyncLOCOScheduler, streaming: bool = False, **options: Any
    ) -> Client:
        """A client of a user's agent, which takes a slot for each task."""
        executor = A2AExecutor(self.inner, scheduler, slo_classes=CLASSES, **options)
        listening, url = _listen()
        card = executor.advertise(_card(url))
        handler = DefaultRequestHandler(executor, InMemoryTaskStore(), card)
        routes = create_agent_card_routes(card) + create_jsonrpc_routes(handler, "/")
        await self._stack.enter_async_context(_served(Starlette(routes=routes), listening))
        return await self.client(url, streaming)

    async def serve_scheduler(
        self, scheduler: AsyncLOCOScheduler, streaming: bool = False, **options: Any
    ) -> Client:
        """A client of an agent that shares out the slots themselves."""
        listening, url = _listen()
        agent = A2ASchedulerAgent(scheduler, url, slo_classes=CLASSES, **options)
        await self._stack.enter_async_context(_served(agent.app, listening))
        return await self.client(url, streaming)

    async def client(self, url: str, streaming: bool) -> Client:
        """Finds the agent by its card."""
        http = httpx.AsyncClient(timeout=30)
        await self._stack.enter_async_context(http)
        return await create_client(url, ClientConfig(streaming=streaming, httpx_client=http))

    def ask(self, *args: Any, **options: Any) -> asyncio.Task[Task]:
        """`send`, in a task of its own."""
        task = asyncio.ensure_future(send(*args, **options))
        self._asking.append(task)
        return task

    async def at_rest(self) -> None:
        """No slot is held, nobody waits, no task is queued."""
        left = lambda: list(invariants.at_rest(self.schedulers.dump()))  # noqa: E731
        await eventually(lambda: not left() and not self.inner.running, what="all at rest")

    async def stop(self) -> None:
        """The servers and their clients."""
        await self._stack.aclose()

    async def aclose(self) -> None:
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        await self.at_rest()
        await self.stop()


@pytest.fixture
async def scene(schedulers: Schedulers) -> AsyncIterator[Scene]:
    """Afterwards nothing may be held, wait or be queued."""
    scene = Scene(schedulers)
    yield scene
    await scene.aclose()


def request(text: str, metadata: Any = None, **ids: Any) -> SendMessageRequest:
    message = new_text_message(text, role=Role.ROLE_USER, **ids)
    return SendMessageRequest(message=message, metadata=metadata)


async def send(client: Client, text: str, asked: A2AScheduling | None = None, **ids: Any) -> Task:
    """What became of the task."""
    asked = asked or A2AScheduling()
    task = Task()
    async for event in client.send_message(
        request(text, asked.metadata, **ids), context=asked.context()
    ):
        task = _merged(task, event)
    return task


async def start(client: Client, text: str, asked: A2AScheduling | None = None) -> str:
    """Returns the id of the task at once."""
    asked = asked or A2AScheduling()
    asking = request(text, asked.metadata)
    asking.configuration.CopyFrom(SendMessageConfiguration(return_immediately=True))
    async for event in client.send_message(asking, context=asked.context()):
        return event.task.id
    raise AssertionError("no answer")


async def cancel(client: Client, task_id: str) -> Task:
    return await client.cancel_task(CancelTaskRequest(id=task_id))


async def until(client: Client, task_id: str, state: TaskState) -> Task:
    """The task, once it is in that state."""
    async with asyncio.timeout(10):
        while (task := await _task(client, task_id)).status.state != state:  # noqa: ASYNC110  HTTP
            await asyncio.sleep(0.01)
    return task


async def _task(client: Client, task_id: str) -> Task:
    return await client.get_task(GetTaskRequest(id=task_id))


def state_of(task: Task) -> str:
    return TaskState.Name(task.status.state).removeprefix("TASK_STATE_")


def text_of(task: Task) -> str:
    return "".join(part.text for part in task.status.message.parts)


def _merged(task: Task, event: StreamResponse) -> Task:
    if event.HasField("task"):
        return event.task
    if event.HasField("status_update"):
        task.status.CopyFrom(event.status_update.status)
    elif event.HasField("artifact_update"):
        task.artifacts.append(event.artifact_update.artifact)
    elif event.HasField("message"):
        task.status.message.CopyFrom(event.message)
    return task


def _card(url: str) -> AgentCard:
    return AgentCard(
        name="greeter",
        description="Greets",
        version="1",
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        capabilities=AgentCapabilities(streaming=True),
        skills=[AgentSkill(id="greet", name="Greet", description="Greets", tags=["hello"])],
        supported_interfaces=[
            AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0")
        ],
    )


def _listen() -> tuple[socket.socket, str]:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    return listening, f"http://127.0.0.1:{listening.getsockname()[1]}"


@asynccontextmanager
async def _served(app: Any, listening: socket.socket) -> AsyncIterator[None]:
    # What `Server.serve` does, but for its naps of a tenth of a second when it is to stop.
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup(sockets=[listening])
    assert server.started
    try:
        yield
    finally:
        for listener in server.servers:
            listener.close()
        await server.lifespan.shutdown()
