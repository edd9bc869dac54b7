"""The cases of every way, on the framework's own clients for OpenAI: asked themselves, and by
agents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, ClassVar

import openai
import pytest
from agent_framework import Agent, Message
from agent_framework.exceptions import ChatClientException
from agent_framework.openai import OpenAIChatClient, OpenAIChatCompletionClient

from loco_redis.adapters.agent_framework import SchedulerAgentMiddleware, SchedulerChatMiddleware
from tests.adapters.asks import MOST_TOKENS, QUESTION, Chat, Responses
from tests.adapters.async_cases import AsyncCases
from tests.adapters.way import Way


class Client(Way):
    """A client for responses, asked without an agent."""

    ask = Responses
    status_error = ChatClientException
    lazy = True
    kind: ClassVar[Any] = OpenAIChatClient

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.sdk = openai.AsyncOpenAI(
            base_url=self.provider.openai_url, api_key="any", max_retries=self.max_retries
        )
        self.client = self.made(SchedulerChatMiddleware(self.scheduler, **self.options))

    def made(self, *middleware: Any) -> Any:
        model = self.ask.arguments["model"]
        return self.kind(model=model, async_client=self.sdk, middleware=list(middleware))

    @property
    def arguments(self) -> dict[str, Any]:
        question = Message(role="user", contents=[QUESTION])
        return {"messages": [question], "options": {"max_tokens": MOST_TOKENS}}

    async def call(self, **_: Any) -> str:
        return str((await self.client.get_response(**self.arguments)).text)

    async def open(self, **_: Any) -> Any:
        return self.client.get_response(**self.arguments, stream=True)

    async def texts(self, stream: Any) -> AsyncIterator[str]:
        async for update in stream:
            for content in update.contents:
                # The pieces come once more as a whole, which is to replace them.
                again = getattr(content, "merge_mode", None) == "replace"
                if content.type == "text" and content.text and not again:
                    yield content.text

    async def close(self, stream: Any) -> None:
        await stream.close()

    async def aclose(self) -> None:
        await self.sdk.close()


class ChatClient(Client):
    """A client for chat completions."""

    ask = Chat
    kind = OpenAIChatCompletionClient


class Runs(Client):
    """An agent with a middleware of its own."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.agent = Agent(
            self.made(),
            name="helper",
            middleware=[SchedulerAgentMiddleware(self.scheduler, **self.options)],
            default_options={"max_tokens": MOST_TOKENS},
        )

    async def call(self, **_: Any) -> str:
        return str((await self.agent.run(QUESTION)).text)

    async def open(self, **_: Any) -> Any:
        return self.agent.run(QUESTION, stream=True)


class ChatRuns(Runs):
    """The same by chat completions, with the middleware of the client."""

    ask = Chat
    kind = OpenAIChatCompletionClient

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.agent = Agent(self.client, name="helper", default_options={"max_tokens": MOST_TOKENS})


@pytest.mark.parametrize("kind", [Client, ChatClient])
class TestClients(AsyncCases):
    """Clients."""


@pytest.mark.parametrize("kind", [Runs, ChatRuns])
class TestAgents(AsyncCases):
    """Agents."""
