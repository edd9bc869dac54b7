"""The cases of every way, on the SDK's own models: asked as the runner asks them, and runs."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import openai
import pytest
from agents import (
    Agent,
    ModelSettings,
    ModelTracing,
    OpenAIProvider,
    RunConfig,
    Runner,
    set_tracing_disabled,
)

from loco_redis.adapters.openai_agents import OpenAIAgentsAdapter
from loco_redis.testing.fake_provider import Reply
from tests.adapters.asks import MOST_TOKENS, QUESTION, Chat, Responses
from tests.adapters.async_cases import MIDDLE, TEXT, AsyncCases
from tests.adapters.async_scene import Scenes
from tests.adapters.way import Way
from tests.waiting import eventually

set_tracing_disabled(True)

INSTRUCTIONS = "Be brief."
SETTINGS = ModelSettings(max_tokens=MOST_TOKENS)


class Asked(Way):
    """A model of the provider, asked for responses."""

    ask = Responses
    status_error = openai.APIStatusError
    lazy = True
    responses: ClassVar[bool] = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.client = openai.AsyncOpenAI(
            base_url=self.provider.openai_url, api_key="any", max_retries=self.max_retries
        )
        adapter = self.adapter = OpenAIAgentsAdapter(self.scheduler, **self.options)
        provider = OpenAIProvider(openai_client=self.client, use_responses=self.responses)
        self.models = adapter.provider(provider)
        self.model = self.made(provider)

    def made(self, provider: OpenAIProvider) -> Any:
        return self.models.get_model(self.ask.arguments["model"])

    @property
    def arguments(self) -> tuple[Any, ...]:
        return INSTRUCTIONS, QUESTION, SETTINGS, [], None, [], ModelTracing.DISABLED

    more: ClassVar[dict[str, Any]] = {
        "previous_response_id": None,
        "conversation_id": None,
        "prompt": None,
    }

    async def call(self, **_: Any) -> str:
        response = await self.model.get_response(*self.arguments, **self.more)
        return str(response.output[0].content[0].text)

    async def open(self, **_: Any) -> Any:
        return self.model.stream_response(*self.arguments, **self.more)

    async def texts(self, stream: Any) -> AsyncIterator[str]:
        async for event in stream:
            if event.type == "response.output_text.delta":
                yield event.delta

    async def close(self, stream: Any) -> None:
        await stream.aclose()

    async def aclose(self) -> None:
        await self.client.close()


class AskedChat(Asked):
    """A model given as an instance, asked for chat completions."""

    ask = Chat
    responses = False

    def made(self, provider: OpenAIProvider) -> Any:
        return self.adapter.model(provider.get_model(self.ask.arguments["model"]))


class Run(Asked):
    """Runs: `Runner.run`, and `Runner.run_streamed`, which reads ahead in a task of its own."""

    lazy = False

    @property
    def run(self) -> dict[str, Any]:
        model = self.ask.arguments["model"]
        return {
            "starting_agent": Agent("brief", INSTRUCTIONS, model=model, model_settings=SETTINGS),
            "input": QUESTION,
            "run_config": RunConfig(model_provider=self.models),
        }

    async def call(self, **_: Any) -> str:
        return str((await Runner.run(**self.run)).final_output)

    async def open(self, **_: Any) -> Any:
        return Runner.run_streamed(**self.run)

    @property
    def calls(self) -> Any:
        return self.call, self.read

    async def texts(self, stream: Any) -> AsyncIterator[str]:
        async for event in stream.stream_events():
            if event.type == "raw_response_event" and event.data.type == (
                "response.output_text.delta"
            ):
                yield event.data.delta

    async def close(self, stream: Any) -> None:
        stream.cancel()
        async for _ in stream.stream_events():  # the SDK's way to wait for its end
            pass


@pytest.mark.parametrize("kind", [Asked, AskedChat])
class TestModels(AsyncCases):
    """Models, asked without a runner."""


@pytest.mark.parametrize("kind", [Run])
class TestRuns(AsyncCases):
    """A streamed run goes on by itself: it is read ahead, and dropping it does not end it."""

    async def test_stream(self, scenes: Scenes) -> None:
        """The slot is held until the model's answer has ended, whoever reads the events."""
        scene = scenes()
        for slots in (1, 2):
            gate = threading.Event()
            scene.provider.script(Reply(gate=gate, gate_after=MIDDLE))
            texts = scene.way.texts(await scene.way.open())
            first = await anext(texts)
            assert (await scene.scheduler.snapshot()).held == 1
            gate.set()
            await scene.snapshot_when(lambda now: now.held == 0)
            assert first + "".join([text async for text in texts]) == TEXT
            await scene.settled(slots=slots)

    async def test_break_and_drop(self, scenes: Scenes) -> None:
        """A run that is left unread and forgotten comes to its end, and is settled whole."""
        scene, gate = scenes(), threading.Event()
        scene.provider.script(Reply(gate=gate, gate_after=MIDDLE))
        stream = await scene.way.open()
        texts = scene.way.texts(stream)
        await anext(texts)
        assert (await scene.scheduler.snapshot()).held == 1
        del stream, texts
        gate.set()
        await scene.collected()
        await scene.released(slots=1)

    async def test_never_iterated(self, scenes: Scenes) -> None:
        """The same of a run that nobody reads."""
        scene, gate = scenes(), threading.Event()
        scene.provider.script(Reply(gate=gate, gate_after=MIDDLE))
        stream = await scene.way.open()
        await eventually(lambda: scene.provider.in_flight == 1)
        del stream
        gate.set()
        await scene.collected()
        await scene.released(slots=1)

    async def test_cancelled_run(self, scenes: Scenes) -> None:
        """`result.cancel()` alone ends the request, in flight or in the queue."""
        scene = scenes()
        scene.provider.script(Reply(gate=threading.Event()))
        first = await scene.way.open()
        await eventually(lambda: scene.provider.in_flight == 1)
        second = await scene.way.open()
        await scene.snapshot_when(lambda now: now.waiting == 1)
        second.cancel()
        await scene.snapshot_when(lambda now: now.waiting == 0)
        first.cancel()
        assert await scene.released(slots=1) == (0, 0.0)
