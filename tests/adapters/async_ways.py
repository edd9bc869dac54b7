"""The async ways of a call to its provider: one class each, on which all cases are run.

A new way says how its client is made and, where it is no SDK's, how it calls and streams.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import anthropic
import httpx
import httpx2
import openai

from loco_redis.adapters import AnthropicAdapter, AsyncScheduledTransport, OpenAIAdapter
from tests.adapters.asks import Beta, Chat, Messages, Responses
from tests.adapters.way import Way

KEY = "any"


class SDKWay(Way):
    """An SDK's client. Some calls only SDKs have are made by the tests themselves, on `api`."""

    #: Has been scheduled.
    client: Any

    @property
    def api(self) -> Any:
        return self.ask.of(self.client)

    async def call(self, **more: Any) -> str:
        answer = await self.api.create(**self.ask.arguments, **more)
        return self.ask.text(answer.model_dump())

    async def open(self, **more: Any) -> Any:
        return await self.api.create(**self.ask.arguments, stream=True, **more)

    async def texts(self, stream: Any) -> AsyncIterator[str]:
        async for event in stream:
            if text := self.ask.text_of_event(event.model_dump()):
                yield text

    async def close(self, stream: Any) -> None:
        await stream.close()

    async def aclose(self) -> None:
        await self.client.close()


class AnthropicWay(SDKWay):
    ask = Messages
    status_error = anthropic.APIStatusError

    def made(self, **more: Any) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(
            base_url=self.provider.anthropic_url, api_key=KEY, max_retries=self.max_retries, **more
        )


class OpenAIWay(SDKWay):
    status_error = openai.APIStatusError

    def made(self, **more: Any) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url=self.provider.openai_url, api_key=KEY, max_retries=self.max_retries, **more
        )


class AdaptedAnthropic(AnthropicWay):
    """AnthropicAdapter."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.client = AnthropicAdapter(self.scheduler, **self.options).wrap(self.made())


class AdaptedBeta(AdaptedAnthropic):
    """AnthropicAdapter, beta calls."""

    ask = Beta


class AdaptedChat(OpenAIWay):
    """OpenAIAdapter, chat completions."""

    ask = Chat

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.client = OpenAIAdapter(self.scheduler, **self.options).wrap(self.made())


class AdaptedResponses(AdaptedChat):
    """OpenAIAdapter, responses."""

    ask = Responses


class TransportedAnthropic(AnthropicWay):
    """The transport, given to the Anthropic SDK."""

    wraps = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        transport = AsyncScheduledTransport(self.scheduler, **self.options)
        self.client = self.made(http_client=httpx2.AsyncClient(transport=transport))


class TransportedChat(OpenAIWay):
    """The transport, given to the OpenAI SDK by a client of httpx2."""

    ask = Chat
    wraps = True
    module: ClassVar[Any] = httpx2

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        transport = AsyncScheduledTransport(self.scheduler, **self.options)
        self.client = self.made(http_client=self.module.AsyncClient(transport=transport))


class TransportedResponses(TransportedChat):
    """The transport, given to the OpenAI SDK by a client of httpx."""

    ask = Responses
    module = httpx


class RawWay(Way):
    """The transport under a bare HTTP client, which retries at once."""

    module: ClassVar[Any]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        transport = AsyncScheduledTransport(self.scheduler, **self.options)
        self.client = self.module.AsyncClient(base_url=self.provider.url, transport=transport)

    async def call(self, extra_headers: dict[str, str] | None = None, **more: Any) -> str:
        for attempt in range(self.max_retries + 1):
            response = await self.client.post(
                self.ask.path, json=self.ask.arguments, headers=extra_headers, **more
            )
            if response.is_success or attempt == self.max_retries:
                break
        response.raise_for_status()
        return self.ask.text(response.json())

    async def open(self, **more: Any) -> Any:
        body = {**self.ask.arguments, "stream": True}
        request = self.client.build_request("POST", self.ask.path, json=body, **more)
        response = await self.client.send(request, stream=True)
        if response.is_error:
            await response.aclose()
        response.raise_for_status()
        return response

    async def texts(self, stream: Any) -> AsyncIterator[str]:
        async for line in stream.aiter_lines():
            name, _, value = line.partition(": ")
            if name != "data" or value == "[DONE]":
                continue
            if text := self.ask.text_of_event(json.loads(value)):
                yield text

    async def close(self, stream: Any) -> None:
        await stream.aclose()

    async def aclose(self) -> None:
        await self.client.aclose()


class RawMessages(RawWay):
    ask = Messages
    module = httpx2
    status_error = httpx2.HTTPStatusError


class RawChat(RawWay):
    ask = Chat
    module = httpx
    status_error = httpx.HTTPStatusError


class RawResponses(RawWay):
    ask = Responses
    module = httpx2
    status_error = httpx2.HTTPStatusError


SDK_WAYS: list[type[SDKWay]] = [
    AdaptedAnthropic,
    AdaptedBeta,
    AdaptedChat,
    AdaptedResponses,
    TransportedAnthropic,
    TransportedChat,
    TransportedResponses,
]
# Beta calls differ from the others in their path only.
WAYS: list[type[Way]] = [
    *(way for way in SDK_WAYS if way is not AdaptedBeta),
    RawMessages,
    RawChat,
    RawResponses,
]
