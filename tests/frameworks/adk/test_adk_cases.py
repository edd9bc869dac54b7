"""ADK's own model under the scheduler, called as ADK's flows call it: the cases of every way."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.adk.models import LlmRequest
from google.genai import errors, types

from loco_redis.adapters.adk import ADKAdapter
from loco_redis.testing.fake_provider import Reply
from tests.adapters.asks import MOST_TOKENS, QUESTION, Gemini
from tests.adapters.async_cases import MIDDLE, AsyncCases
from tests.adapters.async_scene import Scenes
from tests.adapters.way import Way
from tests.frameworks.adk.runs import gemini


class Model(Way):
    """`generate_content_async` of a Gemini."""

    ask = Gemini
    status_error = errors.APIError
    lazy = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        retries = types.HttpRetryOptions(attempts=1 + self.max_retries)
        model = gemini(retry_options=retries)
        self.model = ADKAdapter(self.scheduler, **self.options).model(model)

    def ask_for(self) -> LlmRequest:
        content = types.Content(role="user", parts=[types.Part(text=QUESTION)])
        config = types.GenerateContentConfig(max_output_tokens=MOST_TOKENS)
        return LlmRequest(model=Gemini.model, contents=[content], config=config)

    async def call(self, **more: Any) -> str:
        answers = [answer async for answer in self.model.generate_content_async(self.ask_for())]
        assert len(answers) == 1
        return text(answers[0])

    async def open(self, **more: Any) -> Any:
        return self.model.generate_content_async(self.ask_for(), stream=True)

    async def texts(self, stream: Any) -> AsyncIterator[str]:
        async for answer in stream:
            if answer.partial and text(answer):
                yield text(answer)

    async def close(self, stream: Any) -> None:
        await stream.aclose()

    async def aclose(self) -> None:
        await self.model.api_client.aio.aclose()


def text(answer: Any) -> str:
    return "".join(part.text or "" for part in answer.content.parts)


@pytest.mark.parametrize("kind", [Model])
class TestModel(AsyncCases):
    """A model of a class of ADK's."""

    async def test_break_and_close(self, scenes: Scenes) -> None:
        """As of every way, but for the connection: google-genai leaves it open until its objects
        are collected."""
        scene = scenes()
        scene.provider.script(Reply(gate=threading.Event(), gate_after=MIDDLE))
        stream = await scene.way.open()
        seen = await anext(scene.way.texts(stream))
        assert (await scene.scheduler.snapshot()).held == 1
        await scene.way.close(stream)
        assert (await scene.scheduler.snapshot()).held == 0
        await scene.collected()
        await scene.settled_early(seen)
        assert scene.provider.disconnects == 1
