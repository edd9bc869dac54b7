"""The cases of every way, on models of OpenAI and Anthropic: asked directly, and by agents."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
from pydantic_ai import Agent
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelRequest, PartDeltaEvent, PartStartEvent, TextPart
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from loco_redis.adapters.pydantic_ai import PydanticAIAdapter
from loco_redis.testing.fake_provider import Reply
from tests.adapters.asks import MOST_TOKENS, QUESTION, Chat, Messages, Responses
from tests.adapters.async_cases import MIDDLE, AsyncCases
from tests.adapters.async_scene import Scene, Scenes
from tests.adapters.way import Way

SETTINGS: Any = {"max_tokens": MOST_TOKENS}


class Direct(Way):
    """A model of chat completions, asked without an agent: a stream is a block."""

    ask = Chat
    status_error = ModelHTTPError
    kind: Any = OpenAIChatModel

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        adapter = PydanticAIAdapter(self.scheduler, **self.options)
        self.client, provider = self.connected()
        self.model = adapter.model(self.kind(self.ask.arguments["model"], provider=provider))

    def connected(self) -> tuple[Any, Any]:
        client = openai.AsyncOpenAI(
            base_url=self.provider.openai_url, api_key="any", max_retries=self.max_retries
        )
        return client, OpenAIProvider(openai_client=client)

    async def call(self, **_: Any) -> str:
        messages = [ModelRequest.user_text_prompt(QUESTION)]
        return str((await model_request(self.model, messages, model_settings=SETTINGS)).text)

    async def open(self, **_: Any) -> Any:
        messages = [ModelRequest.user_text_prompt(QUESTION)]
        block = model_request_stream(self.model, messages, model_settings=SETTINGS)
        return block, await block.__aenter__()

    async def texts(self, stream: Any) -> AsyncIterator[str]:
        block, response = stream
        async for event in response:
            if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
                if event.part.content:
                    yield event.part.content
            elif isinstance(event, PartDeltaEvent):
                yield event.delta.content_delta
        await block.__aexit__(None, None, None)

    async def close(self, stream: Any) -> None:
        await stream[0].__aexit__(None, None, None)

    async def aclose(self) -> None:
        await self.client.close()


class DirectAnthropic(Direct):
    """The same of Anthropic's messages."""

    ask = Messages
    kind = AnthropicModel

    def connected(self) -> tuple[Any, Any]:
        client = anthropic.AsyncAnthropic(
            base_url=self.provider.anthropic_url, api_key="any", max_retries=self.max_retries
        )
        return client, AnthropicProvider(anthropic_client=client)


class Run(Direct):
    """`agent.run` and `agent.run_stream`, of responses."""

    ask = Responses
    kind = OpenAIResponsesModel

    @property
    def agent(self) -> Agent:
        return Agent(self.model, model_settings=SETTINGS, instructions="Be brief.")

    async def call(self, **_: Any) -> str:
        return str((await self.agent.run(QUESTION)).output)

    async def open(self, **_: Any) -> Any:
        block = self.agent.run_stream(QUESTION)
        return block, await block.__aenter__()

    async def texts(self, stream: Any) -> AsyncIterator[str]:
        block, result = stream
        async for text in result.stream_text(delta=True, debounce_by=None):
            yield text
        await block.__aexit__(None, None, None)


@pytest.mark.parametrize("kind", [Direct, DirectAnthropic])
class TestModels(AsyncCases):
    """Models, asked without an agent."""


@pytest.mark.parametrize("kind", [Run])
class TestAgents(AsyncCases):
    """Agents. PydanticAI itself does not bear that the block of a streamed run is dropped: it
    cancels the task that has entered it."""

    async def dropped(self, scene: Scene, reads: int) -> str:
        """A stream was opened, read so far, and dropped, all by a task of its own."""
        seen: list[str] = []

        async def opening() -> None:
            stream = await scene.way.open()
            texts = scene.way.texts(stream)
            for _ in range(reads):
                seen.append(await anext(texts))
            assert (await scene.scheduler.snapshot()).held == 1

        await asyncio.create_task(opening())
        await scene.collected()
        return "".join(seen)

    async def test_break_and_drop(self, scenes: Scenes) -> None:
        """A stream that is left unread and forgotten gives its slot back."""
        scene = scenes()
        scene.provider.script(Reply(gate=threading.Event(), gate_after=MIDDLE))
        await scene.settled_early(await self.dropped(scene, reads=1))
        assert scene.provider.disconnects == 1

    async def test_never_iterated(self, scenes: Scenes) -> None:
        """The same of a stream that nobody reads."""
        scene = scenes()
        scene.provider.script(Reply(gate=threading.Event(), gate_after=MIDDLE))
        await self.dropped(scene, reads=0)
        await scene.released(slots=1)
        assert scene.provider.disconnects == 1
