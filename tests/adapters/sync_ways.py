"""The plain ways of a call to its provider: the classes of `async_ways.py` without `await`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import anthropic
import httpx
import httpx2
import openai

from loco_redis.adapters import AnthropicAdapter, OpenAIAdapter, ScheduledTransport
from tests.adapters.asks import Beta, Chat, Messages, Responses
from tests.adapters.sync_way import Way

KEY = "any"


class SDKWay(Way):
    """An SDK's client. Some calls only SDKs have are made by the tests themselves, on `api`."""

    #: Has been scheduled.
    client: Any

    @property
    def api(self) -> Any:
        return self.ask.of(self.client)

    def call(self, **more: Any) -> str:
        answer = self.api.create(**self.ask.arguments, **more)
        return self.ask.text(answer.model_dump())

    def open(self, **more: Any) -> Any:
        return self.api.create(**self.ask.arguments, stream=True, **more)

    def texts(self, stream: Any) -> Iterator[str]:
        for event in stream:
            if text := self.ask.text_of_event(event.model_dump()):
                yield text

    def close(self, stream: Any) -> None:
        stream.close()

    def end(self) -> None:
        self.client.close()


class AnthropicWay(SDKWay):
    ask = Messages
    status_error = anthropic.APIStatusError

    def made(self, **more: Any) -> anthropic.Anthropic:
        return anthropic.Anthropic(
            base_url=self.provider.anthropic_url, api_key=KEY, max_retries=self.max_retries, **more
        )


class OpenAIWay(SDKWay):
    status_error = openai.APIStatusError

    def made(self, **more: Any) -> openai.OpenAI:
        return openai.OpenAI(
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
        transport = ScheduledTransport(self.scheduler, **self.options)
        self.client = self.made(http_client=httpx2.Client(transport=transport))


class TransportedChat(OpenAIWay):
    """The transport, given to the OpenAI SDK by a client of httpx2."""

    ask = Chat
    wraps = True
    module: ClassVar[Any] = httpx2

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        transport = ScheduledTransport(self.scheduler, **self.options)
        self.client = self.made(http_client=self.module.Client(transport=transport))


class TransportedResponses(TransportedChat):
    """The transport, given to the OpenAI SDK by a client of httpx."""

    ask = Responses
    module = httpx


class RawWay(Way):
    """The transport under a bare HTTP client, which retries at once."""

    module: ClassVar[Any]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        transport = ScheduledTransport(self.scheduler, **self.options)
        self.client = self.module.Client(base_url=self.provider.url, transport=transport)

    def call(self, extra_headers: dict[str, str] | None = None, **more: Any) -> str:
        for attempt in range(self.max_retries + 1):
            response = self.client.post(
                self.ask.path, json=self.ask.arguments, headers=extra_headers, **more
            )
            if response.is_success or attempt == self.max_retries:
                break
        response.raise_for_status()
        return self.ask.text(response.json())

    def open(self, **more: Any) -> Any:
        body = {**self.ask.arguments, "stream": True}
        request = self.client.build_request("POST", self.ask.path, json=body, **more)
        response = self.client.send(request, stream=True)
        if response.is_error:
            response.close()
        response.raise_for_status()
        return response

    def texts(self, stream: Any) -> Iterator[str]:
        for line in stream.iter_lines():
            name, _, value = line.partition(": ")
            if name != "data" or value == "[DONE]":
                continue
            if text := self.ask.text_of_event(json.loads(value)):
                yield text

    def close(self, stream: Any) -> None:
        stream.close()

    def end(self) -> None:
        self.client.close()


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
