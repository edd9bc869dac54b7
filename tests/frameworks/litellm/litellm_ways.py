"""The ways of a call through LiteLLM: its functions, for OpenAI and Anthropic, and a Router."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import litellm
import openai

from loco_redis.adapters.litellm import LiteLLMAdapter
from loco_redis.testing.fake_provider import FakeProvider
from tests.adapters.asks import MOST_TOKENS, QUESTION, Chat, Messages
from tests.adapters.sync_way import Way as SyncWay
from tests.adapters.way import Way

litellm.suppress_debug_info = True

ASKED: dict[str, Any] = {
    "messages": [{"role": "user", "content": QUESTION}],
    "max_tokens": MOST_TOKENS,
}
NANO, OPUS = "openai/gpt-5-nano", "anthropic/claude-opus-4-1"


def openai_at(provider: FakeProvider, model: str = NANO) -> dict[str, Any]:
    """Arguments that bring a call to it."""
    return {"model": model, "api_base": provider.openai_url, "api_key": "any"}


def anthropic_at(provider: FakeProvider) -> dict[str, Any]:
    return {"model": OPUS, "api_base": provider.anthropic_url, "api_key": "any"}


def router_at(provider: FakeProvider, **more: Any) -> litellm.Router:
    """One group, `quick`, of one deployment."""
    parameters = {**openai_at(provider), "max_retries": 0}
    deployment = {"model_name": "quick", "litellm_params": parameters}
    return litellm.Router(model_list=[deployment], **{"num_retries": 0, **more})


def text_of(answer: Any) -> str:
    return str(answer.choices[0].message.content)


def piece(chunk: Any) -> str:
    assert getattr(chunk, "usage", None) is None, "the chunk of usage has not been asked for"
    return chunk.choices[0].delta.content or ""


class Functions(Way):
    """`acompletion`, of OpenAI's chat completions."""

    ask = Chat
    status_error = openai.APIStatusError  # LiteLLM's own errors are of these classes

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.arguments = {**ASKED, **self.to(), "max_retries": self.max_retries}
        self.adapter = LiteLLMAdapter(self.scheduler, **self.options)
        self.acompletion: Any = self.adapter.acompletion

    def to(self) -> dict[str, Any]:
        return openai_at(self.provider)

    async def call(self, **more: Any) -> str:
        return text_of(await self.acompletion(**self.arguments, **more))

    async def open(self, **more: Any) -> Any:
        return await self.acompletion(**self.arguments, stream=True, **more)

    async def texts(self, stream: Any) -> AsyncIterator[str]:
        async for chunk in stream:
            if text := piece(chunk):
                yield text

    async def close(self, stream: Any) -> None:
        await stream.aclose()

    async def aclose(self) -> None:
        await litellm.close_litellm_async_clients()


class Claude(Functions):
    """The same of Anthropic's messages."""

    ask = Messages

    def to(self) -> dict[str, Any]:
        return anthropic_at(self.provider)


class Routed(Functions):
    """Through a Router."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.arguments = {**ASKED, "model": "quick"}
        router = router_at(self.provider, num_retries=self.max_retries)
        self.acompletion = self.adapter.wrap(router).acompletion


class PlainFunctions(SyncWay):
    """`completion`, of OpenAI's chat completions."""

    ask = Chat
    status_error = openai.APIStatusError

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.arguments = {**ASKED, **self.to(), "max_retries": self.max_retries}
        self.adapter = LiteLLMAdapter(self.scheduler, **self.options)
        self.completion: Any = self.adapter.completion

    def to(self) -> dict[str, Any]:
        return openai_at(self.provider)

    def call(self, **more: Any) -> str:
        return text_of(self.completion(**self.arguments, **more))

    def open(self, **more: Any) -> Any:
        return self.completion(**self.arguments, stream=True, **more)

    def texts(self, stream: Any) -> Iterator[str]:
        return filter(None, map(piece, stream))

    def close(self, stream: Any) -> None:
        stream.close()

    def end(self) -> None:
        """Clients are LiteLLM's, and shared."""


class PlainClaude(PlainFunctions):
    """The same of Anthropic's messages."""

    ask = Messages

    def to(self) -> dict[str, Any]:
        return anthropic_at(self.provider)


class PlainRouted(PlainFunctions):
    """Through a Router."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.arguments = {**ASKED, "model": "quick"}
        router = router_at(self.provider, num_retries=self.max_retries)
        self.completion = self.adapter.wrap(router).completion
