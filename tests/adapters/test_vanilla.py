"""Functions of any kind under the scheduler: the cases of every way, on functions of a program."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest

from loco_redis.adapters import Usage, VanillaAdapter
from tests.adapters.asks import Chat
from tests.adapters.async_cases import AsyncCases
from tests.adapters.sync_cases import SyncCases
from tests.adapters.sync_way import Way as SyncWay
from tests.adapters.way import Way

STREAM: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


def used(answer: Any) -> Usage | None:
    return Usage.of_openai(answer.usage.model_dump()) if answer.usage else None


def text(chunk: Any) -> str:
    return (chunk.choices[0].delta.content or "") if chunk.choices else ""


class Functions(Way):
    """An async function, and an async generator function."""

    ask = Chat
    status_error = openai.APIStatusError
    lazy = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        adapter = VanillaAdapter(self.scheduler, **self.options)
        model = Chat.arguments["model"]
        client = self.client = openai.AsyncOpenAI(
            base_url=self.provider.openai_url, api_key="any", max_retries=self.max_retries
        )

        async def whole(**arguments: Any) -> Any:
            return await client.chat.completions.create(**arguments)

        async def pieces(**arguments: Any) -> AsyncIterator[Any]:
            async with await client.chat.completions.create(**arguments, **STREAM) as stream:
                async for chunk in stream:
                    yield chunk

        self.whole = adapter.wrap(whole, model=model, used=used)
        self.pieces = adapter.wrap(pieces, model=model, used=used, text=text)

    async def call(self, **more: Any) -> str:
        return Chat.text((await self.whole(**Chat.arguments, **more)).model_dump())

    async def open(self, **more: Any) -> Any:
        return self.pieces(**Chat.arguments, **more)

    async def texts(self, stream: Any) -> AsyncIterator[str]:
        async for chunk in stream:
            if piece := text(chunk):
                yield piece

    async def close(self, stream: Any) -> None:
        await stream.aclose()

    async def aclose(self) -> None:
        await self.client.close()


class PlainFunctions(SyncWay):
    """A plain function, and a generator function."""

    ask = Chat
    status_error = openai.APIStatusError
    lazy = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        adapter = VanillaAdapter(self.scheduler, **self.options)
        model = Chat.arguments["model"]
        client = self.client = openai.OpenAI(
            base_url=self.provider.openai_url, api_key="any", max_retries=self.max_retries
        )

        def whole(**arguments: Any) -> Any:
            return client.chat.completions.create(**arguments)

        def pieces(**arguments: Any) -> Iterator[Any]:
            with client.chat.completions.create(**arguments, **STREAM) as stream:
                yield from stream

        self.whole = adapter.wrap(whole, model=model, used=used)
        self.pieces = adapter.wrap(pieces, model=model, used=used, text=text)

    def call(self, **more: Any) -> str:
        return Chat.text(self.whole(**Chat.arguments, **more).model_dump())

    def open(self, **more: Any) -> Any:
        return self.pieces(**Chat.arguments, **more)

    def texts(self, stream: Any) -> Iterator[str]:
        return filter(None, map(text, stream))

    def close(self, stream: Any) -> None:
        stream.close()

    def end(self) -> None:
        self.client.close()


@pytest.mark.parametrize("kind", [Functions])
class TestAsync(AsyncCases):
    """Async functions."""


@pytest.mark.parametrize("kind", [PlainFunctions])
class TestPlain(SyncCases):
    """Plain functions."""
