"""What does an adapter add to an LLM call of 20 ms, when nobody else wants the slot?

A fake provider in a process of its own takes 20 ms for each answer. One bare client of the SDK and
one wrapped by the adapter call it in alternation.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from statistics import median

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from benchmarks import server
from benchmarks.figure import Figure, Must, spread
from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis._server import EmbeddedServer
from loco_redis.adapters import AnthropicAdapter, OpenAIAdapter

LATENCY = 0.02
MESSAGES = [{"role": "user", "content": "How are you?"}]

Ask = Callable[[], Awaitable[object]]


@contextmanager
def _provider() -> Iterator[str]:
    command = [sys.executable, "-m", "loco_redis.testing.fake_provider", "--latency", str(LATENCY)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def _block(ask: Ask, calls: int) -> float:
    """Milliseconds of a call, on average over `calls`, one after the other."""
    began = time.perf_counter()
    for _ in range(calls):
        await ask()
    return (time.perf_counter() - began) / calls * 1000


async def _measure(bare: Ask, scheduled: Ask, blocks: int, calls: int) -> tuple[list[float], ...]:
    times: tuple[list[float], list[float]] = ([], [])
    for ask in (bare, scheduled):
        await _block(ask, 5)  # connections, scripts, imports
    for _ in range(blocks):
        for ask, found in zip((bare, scheduled), times, strict=True):
            found.append(await _block(ask, calls))
    return times


async def _answer(redis: str, provider: str, blocks: int, calls: int) -> list[Figure]:
    anthropic = AsyncAnthropic(base_url=provider, api_key="fake")
    openai = AsyncOpenAI(base_url=f"{provider}/v1", api_key="fake")

    def message(client: AsyncAnthropic) -> Ask:
        return lambda: client.messages.create(
            model="claude-haiku-4-5", max_tokens=100, messages=MESSAGES
        )

    def chat(client: AsyncOpenAI) -> Ask:
        return lambda: client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)

    figures = []
    resource = SharedResource("llm_calls", capacity=4)
    async with AsyncLOCOScheduler([], resource, redis=redis) as scheduler, anthropic, openai:
        pairs = {
            "Anthropic": (message(anthropic), message(AnthropicAdapter(scheduler).wrap(anthropic))),
            "OpenAI": (chat(openai), chat(OpenAIAdapter(scheduler).wrap(openai))),
        }
        for sdk, (bare, scheduled) in pairs.items():
            plain, ours = await _measure(bare, scheduled, blocks, calls)
            ratio = median(our / their for our, their in zip(ours, plain, strict=True))
            detail = (
                f"{median(ours):.1f} ms ({spread(ours, 1)}) "
                f"against {median(plain):.1f} ms ({spread(plain, 1)})"
            )
            question = f"a call of 20 ms through the {sdk} adapter, against the bare SDK"
            figures.append(Figure(question, ratio, "x", Must(1.15), detail))
    return figures


def run(process: EmbeddedServer, *, blocks: int = 9, calls: int = 20) -> list[Figure]:
    """Two rows, one for each SDK: the median of the ratios of neighbouring blocks."""
    with server.connected(process), _provider() as provider:
        return asyncio.run(_answer(process.url, provider, blocks, calls))
