"""Clients of aiobotocore, on their way to the fake provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from loco_redis.adapters.bedrock import BedrockAdapter
from loco_redis.testing.fake_provider import FakeProvider
from tests.adapters.asks import Bedrock, BedrockClaude
from tests.adapters.way import Way


def made(provider: FakeProvider, max_retries: int = 0) -> Any:
    """To be entered."""
    return get_session().create_client(
        "bedrock-runtime",
        endpoint_url=provider.bedrock_url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=AioConfig(retries={"max_attempts": max_retries}, max_pool_connections=20),
    )


class Converse(Way):
    """`converse` and `converse_stream`; closed by `aclose`, which the adapter adds."""

    ask = Bedrock
    status_error = ClientError

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.adapter = BedrockAdapter(self.scheduler, **self.options)
        self._stack = AsyncExitStack()
        self._making = asyncio.Lock()
        self._client: Any = None

    async def client(self) -> Any:
        async with self._making:
            if self._client is None:
                plain = await self._stack.enter_async_context(made(self.provider, self.max_retries))
                self._client = self.adapter.wrap(plain)
        return self._client

    async def call(self, **more: Any) -> str:
        client = await self.client()
        return Bedrock.text(await client.converse(**Bedrock.arguments, **more))

    async def open(self, **more: Any) -> Any:
        client = await self.client()
        return (await client.converse_stream(**Bedrock.arguments, **more))["stream"]

    async def texts(self, stream: Any) -> AsyncIterator[str]:
        async for event in stream:
            if text := self.ask.text_of_event(event):
                yield text

    async def close(self, stream: Any) -> None:
        await stream.aclose()

    async def aclose(self) -> None:
        await self._stack.aclose()


class Invoke(Converse):
    """`invoke_model` and `invoke_model_with_response_stream`."""

    ask = BedrockClaude

    async def call(self, **more: Any) -> str:
        client = await self.client()
        response = await client.invoke_model(**BedrockClaude.arguments, **more)
        async with response["body"] as body:
            return BedrockClaude.text(await body.read())

    async def open(self, **more: Any) -> Any:
        client = await self.client()
        arguments = {**BedrockClaude.arguments, **more}
        return (await client.invoke_model_with_response_stream(**arguments))["body"]
