"""An agent of one framework, in a process and an environment of its own.

    python -m tests.frameworks.together.worker FRAMEWORK REDIS PROVIDER

On each line of stdin, a number, it makes so many calls at once; when all have ended it prints the
line. The end of stdin is its end.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from loco_redis import AsyncLOCOScheduler, SharedResource
from tests.schedulers import NAME

Ask = Callable[[], Awaitable[object]]

QUESTION = "What is a slot?"


def anthropic(scheduler: AsyncLOCOScheduler, provider: str) -> Ask:
    from anthropic import AsyncAnthropic

    from loco_redis.adapters import AnthropicAdapter

    client = AsyncAnthropic(base_url=provider, api_key="any", max_retries=0)
    messages = AnthropicAdapter(scheduler, agent_id="anthropic", weight=1).wrap(client).messages
    return lambda: messages.create(
        model="claude-haiku-4-5", max_tokens=50, messages=[{"role": "user", "content": QUESTION}]
    )


def openai(scheduler: AsyncLOCOScheduler, provider: str) -> Ask:
    from openai import AsyncOpenAI

    from loco_redis.adapters import OpenAIAdapter

    client = AsyncOpenAI(base_url=f"{provider}/v1", api_key="any", max_retries=0)
    responses = OpenAIAdapter(scheduler, agent_id="openai", weight=1).wrap(client).responses
    return lambda: responses.create(model="gpt-5", max_output_tokens=50, input=QUESTION)


def langchain(scheduler: AsyncLOCOScheduler, provider: str) -> Ask:
    from langchain_openai import ChatOpenAI

    from loco_redis.adapters.langchain import schedule

    model = ChatOpenAI(model="gpt-4o", base_url=f"{provider}/v1", api_key="any", max_retries=0)
    scheduled = schedule(model, scheduler, agent_id="langchain", weight=1)
    return lambda: scheduled.ainvoke(QUESTION)


def adk(scheduler: AsyncLOCOScheduler, provider: str) -> Ask:
    from google.adk.agents import LlmAgent
    from google.adk.models import Gemini
    from google.adk.runners import InMemoryRunner

    from loco_redis.adapters.adk import ADKAdapter

    model = ADKAdapter(scheduler, weight=1).model(
        Gemini(model="gemini-2.5-flash", base_url=provider)
    )
    runner = InMemoryRunner(LlmAgent(name="adk", model=model))
    return lambda: runner.run_debug(QUESTION, quiet=True)


async def main(framework: str, redis: str, provider: str) -> None:
    async with AsyncLOCOScheduler([], SharedResource(NAME, None), redis=redis) as scheduler:
        ask: Ask = globals()[framework](scheduler, provider)
        print("ready", flush=True)  # noqa: T201  this is how it talks
        while line := await asyncio.to_thread(sys.stdin.readline):
            await asyncio.gather(*(ask() for _ in range(int(line))))
            print(line.strip(), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
