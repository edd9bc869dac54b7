"""Runs without an event loop of the program's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import openai
import pytest
from pydantic_ai import Agent
from pydantic_ai.direct import model_request_sync
from pydantic_ai.messages import ModelRequest
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from loco_redis.adapters.pydantic_ai import PydanticAIAdapter
from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.defaults import Defaults, defaults
from tests.waiting import eventually

__all__ = ["defaults"]

HI = [ModelRequest.user_text_prompt("Hi")]


def run_stream_sync(agent: Agent) -> str:
    with agent.run_stream_sync("Hi") as result:
        return "".join(result.stream_text(delta=True))


@pytest.mark.parametrize(
    "run",
    [
        lambda agent: agent.run_sync("Hi").output,
        run_stream_sync,
        lambda agent: model_request_sync(agent.model, HI).text,
    ],
    ids=["run_sync", "run_stream_sync", "direct"],
)
async def test_plain_code(
    provider: FakeProvider, defaults: Defaults, run: Callable[[Agent], str]
) -> None:
    """These have loops of their own, in which the configured scheduler is opened."""
    defaults.configure(1)
    client = openai.AsyncOpenAI(base_url=provider.openai_url, api_key="any", max_retries=0)
    model = OpenAIChatModel("gpt-5-nano", provider=OpenAIProvider(openai_client=client))
    agent = Agent(PydanticAIAdapter().model(model))

    def runs() -> list[str]:
        with asyncio.Runner() as runner:  # closes the loop, which PydanticAI leaves open
            asyncio.set_event_loop(runner.get_loop())
            return [run(agent), run(agent)]

    assert await asyncio.to_thread(runs) == [Reply().text] * 2
    await eventually(lambda: defaults.released() == len(provider.requests) == 2)
