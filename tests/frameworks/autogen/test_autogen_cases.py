"""The cases of every way, on AutoGen's own client for OpenAI: asked as its agents ask it, and by an
agent of agentchat."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import ModelClientStreamingChunkEvent
from autogen_core.models import UserMessage
from autogen_ext.models.openai import OpenAIChatCompletionClient

from loco_redis.adapters.autogen import AutoGenAdapter
from loco_redis.testing.fake_provider import Reply
from tests.adapters.asks import QUESTION, Chat
from tests.adapters.async_cases import MIDDLE, AsyncCases
from tests.adapters.async_scene import Scenes
from tests.adapters.settled import Figures
from tests.adapters.way import Way
from tests.frameworks.autogen.figures import uncached


class Asked(Way):
    """A client, asked without an agent."""

    ask = Chat
    status_error = openai.APIStatusError
    lazy = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        inner = OpenAIChatCompletionClient(
            model=Chat.arguments["model"],
            base_url=self.provider.openai_url,
            api_key="any",
            max_retries=self.max_retries,
            max_completion_tokens=Chat.arguments["max_completion_tokens"],
        )
        self.client = AutoGenAdapter(self.scheduler, **self.options).client(inner)

    async def call(self, **_: Any) -> str:
        result = await self.client.create([UserMessage(content=QUESTION, source="user")])
        return str(result.content)

    async def open(self, **_: Any) -> Any:
        return self.client.create_stream([UserMessage(content=QUESTION, source="user")])

    async def texts(self, stream: Any) -> AsyncIterator[str]:
        async for chunk in stream:
            if isinstance(chunk, str):
                yield chunk

    async def close(self, stream: Any) -> None:
        await stream.aclose()

    async def aclose(self) -> None:
        await self.client.close()

    def expected(self) -> Figures:
        return uncached(self.provider)


class Agents(Asked):
    """An agent of agentchat: its `run` and `run_stream` pass a CancellationToken on."""

    def agent(self, *, streams: bool = False) -> AssistantAgent:
        return AssistantAgent(
            "helper", self.client, system_message=None, model_client_stream=streams
        )

    async def call(self, **_: Any) -> str:
        return str((await self.agent().run(task=QUESTION)).messages[-1].content)

    async def open(self, **_: Any) -> Any:
        return self.agent(streams=True).run_stream(task=QUESTION)

    async def texts(self, stream: Any) -> AsyncIterator[str]:
        async for event in stream:
            if isinstance(event, ModelClientStreamingChunkEvent):
                yield event.content


@pytest.mark.parametrize("kind", [Asked])
class TestClients(AsyncCases):
    """Clients."""


@pytest.mark.parametrize("kind", [Agents])
class TestAgents(AsyncCases):
    """Agents: closing `run_stream` closes none of the generators below it."""

    async def test_break_and_close(self, scenes: Scenes) -> None:
        """A run closed early gives its slot back when what it leaves is collected."""
        scene = scenes()
        scene.provider.script(Reply(gate=threading.Event(), gate_after=MIDDLE))
        stream = await scene.way.open()
        texts = scene.way.texts(stream)
        seen = await anext(texts)
        assert (await scene.scheduler.snapshot()).held == 1
        await scene.way.close(stream)
        del stream, texts
        await scene.collected()
        await scene.settled_early(seen)
        assert scene.provider.disconnects == 1
