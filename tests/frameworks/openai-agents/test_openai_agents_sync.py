"""Runs without an event loop of the program's."""

from __future__ import annotations

import asyncio

import openai
from agents import Agent, OpenAIProvider, RunConfig, Runner, set_tracing_disabled

from loco_redis.adapters.openai_agents import OpenAIAgentsAdapter
from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.defaults import Defaults, defaults

__all__ = ["defaults"]

set_tracing_disabled(True)


async def test_run_sync(provider: FakeProvider, defaults: Defaults) -> None:
    """`Runner.run_sync` has a loop of its own, in which the configured scheduler is opened."""
    defaults.configure(1)
    client = openai.AsyncOpenAI(base_url=provider.openai_url, api_key="any", max_retries=0)
    models = OpenAIAgentsAdapter().provider(OpenAIProvider(openai_client=client))
    run_config = RunConfig(model_provider=models)

    def run(name: str) -> str:
        agent = Agent(name, model="gpt-5-nano")
        return str(Runner.run_sync(agent, "Hi", run_config=run_config).final_output)

    def runs() -> list[str]:
        with asyncio.Runner() as runner:  # closes the loop, which the SDK leaves open
            asyncio.set_event_loop(runner.get_loop())
            return [run("a"), run("b")]

    assert await asyncio.to_thread(runs) == [Reply().text] * 2
    assert defaults.released() == len(provider.requests) == 2
