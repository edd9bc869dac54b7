"""A process of a fleet that calls both SDKs; when it is told to, it makes all its calls at once.

    python fleet_worker.py REDIS_URL ANTHROPIC_URL OPENAI_URL CAPACITY CALLS

It says "ready", waits for a line, says what it was answered, and waits for another to end.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import anthropic
import openai

import loco_redis
from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis.adapters import AnthropicAdapter, OpenAIAdapter
from tests.adapters.asks import Ask, Chat, Messages, Responses
from tests.schedulers import NAME

AGENTS = ("analyst", "webhook", "batch")
ASKS: tuple[type[Ask], ...] = (Messages, Chat, Responses)


def tell(event: str, **facts: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


async def told() -> None:
    await asyncio.to_thread(sys.stdin.readline)


async def call(client: Any, ask: type[Ask], streamed: bool) -> str:
    create = ask.of(client).create
    if not streamed:
        return ask.text((await create(**ask.arguments)).model_dump())
    stream = await create(**ask.arguments, stream=True)
    return "".join([ask.text_of_event(event.model_dump()) async for event in stream])


async def calls(clients: dict[type[Ask], Any], count: int) -> list[str]:
    """Each form in turn, of each agent in turn, every other one streamed."""
    work = []
    for number in range(count):
        ask = ASKS[number % len(ASKS)]
        # A task takes the context of the moment in which it is made.
        with loco_redis.agent(AGENTS[number // len(ASKS) % len(AGENTS)]):
            one = call(clients[ask], ask, streamed=number % 2 == 0)
            work.append(asyncio.create_task(one))
    return await asyncio.gather(*work)


async def main(redis: str, anthropic_url: str, openai_url: str, capacity: str, count: str) -> None:
    resource = SharedResource(NAME, int(capacity))
    async with AsyncLOCOScheduler((), resource, redis=redis) as scheduler:
        claude = anthropic.AsyncAnthropic(base_url=anthropic_url, api_key="any", max_retries=0)
        gpt = openai.AsyncOpenAI(base_url=openai_url, api_key="any", max_retries=0)
        async with claude, gpt:
            clients: dict[type[Ask], Any] = {Messages: AnthropicAdapter(scheduler).wrap(claude)}
            clients |= dict.fromkeys((Chat, Responses), OpenAIAdapter(scheduler).wrap(gpt))
            tell("ready")
            await told()
            tell("answered", texts=await calls(clients, int(count)))
            await told()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:6]))
