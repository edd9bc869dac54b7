"""Chat models of LangChain's integrations, scheduled, before the fake provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import anthropic
import openai
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI

from loco_redis.adapters.langchain import schedule
from loco_redis.testing.fake_provider import FakeProvider
from tests.adapters.asks import MOST_TOKENS, QUESTION, Ask, Chat, Messages
from tests.adapters.sync_way import Way as SyncWay
from tests.adapters.way import Way


class LateMessages(Messages):
    """LangChain tells of a stream's usage with its last event."""

    input_comes_first = False


def chat_openai(provider: FakeProvider, **more: Any) -> ChatOpenAI:
    """Without its timeout for chunks, a `wait_for`, which in Python 3.11 loses a cancellation that
    comes together with a chunk, with or without a scheduler."""
    given = {"model": "gpt-5-nano", "max_tokens": MOST_TOKENS, "max_retries": 0, **more}
    return ChatOpenAI(
        base_url=provider.openai_url, api_key="any", stream_chunk_timeout=None, **given
    )


def chat_responses(provider: FakeProvider, **more: Any) -> ChatOpenAI:
    return chat_openai(provider, model="gpt-5", use_responses_api=True, **more)


def chat_anthropic(provider: FakeProvider, **more: Any) -> ChatAnthropic:
    given = {"model": "claude-opus-4-1", "max_tokens": MOST_TOKENS, "max_retries": 0, **more}
    return ChatAnthropic(base_url=provider.anthropic_url, api_key="any", **given)


class _Models(Way):
    """`ainvoke` and `astream`."""

    lazy = True
    make: ClassVar[Any]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.plain = type(self).make(self.provider, max_retries=self.max_retries)
        self.model = schedule(self.plain, self.scheduler, **self.options)

    async def call(self, **more: Any) -> str:
        return (await self.model.ainvoke(QUESTION, **more)).text

    async def open(self, **more: Any) -> Any:
        return self.model.astream(QUESTION, **more)

    async def texts(self, stream: Any) -> AsyncIterator[str]:
        async for chunk in stream:
            if chunk.text:
                yield chunk.text

    async def close(self, stream: Any) -> None:
        await stream.aclose()

    async def aclose(self) -> None:
        """LangChain keeps HTTP clients for the whole process."""


class _PlainModels(SyncWay):
    """`invoke` and `stream`."""

    lazy = True
    make: ClassVar[Any]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.plain = type(self).make(self.provider, max_retries=self.max_retries)
        self.model = schedule(self.plain, self.scheduler, **self.options)

    def call(self, **more: Any) -> str:
        return self.model.invoke(QUESTION, **more).text

    def open(self, **more: Any) -> Any:
        return self.model.stream(QUESTION, **more)

    def texts(self, stream: Any) -> Iterator[str]:
        return (chunk.text for chunk in stream if chunk.text)

    def close(self, stream: Any) -> None:
        stream.close()

    def end(self) -> None:
        """LangChain keeps HTTP clients for the whole process."""


def _ways(name: str, ask: type[Ask], make: Any, error: type[Exception]) -> tuple[type, type]:
    members = {"ask": ask, "make": staticmethod(make), "status_error": error}
    return type(name, (_Models,), members), type(f"Plain{name}", (_PlainModels,), members)


OpenAIModel, PlainOpenAIModel = _ways("OpenAIModel", Chat, chat_openai, openai.APIStatusError)
AnthropicModel, PlainAnthropicModel = _ways(
    "AnthropicModel", LateMessages, chat_anthropic, anthropic.APIStatusError
)
ASYNC_WAYS = (OpenAIModel, AnthropicModel)
PLAIN_WAYS = (PlainOpenAIModel, PlainAnthropicModel)
