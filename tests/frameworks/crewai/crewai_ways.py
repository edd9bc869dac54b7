"""The ways of a call through CrewAI: an LLM alone, and crews."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import openai
from crewai import LLM, Agent, Crew, Task

from loco_redis.adapters.crewai import CrewAIAdapter
from loco_redis.testing.fake_provider import Billed, FakeProvider
from tests.adapters.asks import MOST_TOKENS, QUESTION, Chat
from tests.adapters.settled import Figures, price
from tests.adapters.sync_way import Way as SyncWay
from tests.adapters.way import Way

NANO = "openai/gpt-5-nano"


def llm_at(provider: FakeProvider, model: str = NANO, **more: Any) -> Any:
    """One of OpenAI's chat completions."""
    made = {"max_retries": 0, "max_completion_tokens": MOST_TOKENS, **more}
    return LLM(model=model, base_url=provider.openai_url, api_key="any", **made)


def crew_of(*llms: Any, roles: tuple[str, ...] = ("writer", "critic"), **more: Any) -> Crew:
    """An agent and a task for each."""
    agents = [
        Agent(role=role, goal="Answer.", backstory="None.", llm=llm, max_retry_limit=0, **more)
        for role, llm in zip(roles, llms, strict=False)
    ]
    tasks = [Task(description=QUESTION, expected_output="A word.", agent=each) for each in agents]
    return Crew(agents=agents, tasks=tasks, verbose=False)


def figures(provider: FakeProvider) -> Figures:
    """CrewAI does not tell what of OpenAI's input was written to the cache."""

    def told(bill: Billed) -> Billed:
        seen = bill.input_tokens + bill.cache_write_tokens
        return replace(bill, input_tokens=seen, cache_write_tokens=0)

    bills = provider.reported
    cost = round(sum(price(bill.model, told(bill)) for bill in bills), 3)
    return sum(bill.total_tokens for bill in bills), cost


class Called(SyncWay):
    """`llm.call`. A stream is read inside of it, so `open` reads the whole of it."""

    ask = Chat
    status_error = openai.APIStatusError

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        adapter = self.adapter = CrewAIAdapter(self.scheduler, **self.options)
        made = {"max_retries": self.max_retries}
        self.llm = adapter.llm(llm_at(self.provider, **made))
        self.streaming = adapter.llm(llm_at(self.provider, stream=True, **made))

    def call(self, **more: Any) -> str:
        return str(self.llm.call(QUESTION))

    def open(self, **more: Any) -> Any:
        return [str(self.streaming.call(QUESTION))]

    def texts(self, stream: Any) -> Iterator[str]:
        return iter(stream)

    def close(self, stream: Any) -> None: ...

    def end(self) -> None: ...

    def expected(self) -> Figures:
        return figures(self.provider)


class Run(Called):
    """`run_crew`, of one agent."""

    def crew(self, llm: Any) -> str:
        return str(self.adapter.run_crew(crew_of(llm)).raw)

    def call(self, **more: Any) -> str:
        return self.crew(self.llm)

    def open(self, **more: Any) -> Any:
        return [self.crew(self.streaming)]


class ACalled(Way):
    """`llm.acall`, the same."""

    ask = Chat
    status_error = openai.APIStatusError

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        adapter = self.adapter = CrewAIAdapter(self.scheduler, **self.options)
        made = {"max_retries": self.max_retries}
        self.llm = adapter.llm(llm_at(self.provider, **made))
        self.streaming = adapter.llm(llm_at(self.provider, stream=True, **made))

    async def call(self, **more: Any) -> str:
        return str(await self.llm.acall(QUESTION))

    async def open(self, **more: Any) -> Any:
        return [str(await self.streaming.acall(QUESTION))]

    async def texts(self, stream: Any) -> AsyncIterator[str]:
        for text in stream:
            yield text

    async def close(self, stream: Any) -> None: ...

    async def aclose(self) -> None: ...

    def expected(self) -> Figures:
        return figures(self.provider)
