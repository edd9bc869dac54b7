"""Messages that really go through AutoGen's runtime, and the agents that handle them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import (
    AgentId,
    FunctionCall,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    TopicId,
    TypeSubscription,
    message_handler,
)
from autogen_core.models import CreateResult, RequestUsage, UserMessage
from autogen_ext.models.replay import ReplayChatCompletionClient

from loco_redis import ReentrantAcquireError
from loco_redis.adapters.autogen import AutoGenAdapter
from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.frameworks.autogen.test_autogen_clients import client_of
from tests.schedulers import Schedulers
from tests.waiting import eventually

TEXT = Reply().text


@dataclass
class Text:
    text: str


class Answering(RoutedAgent):
    """Asks the model what it is asked, then the next agent, if there is one."""

    def __init__(self, adapter: AutoGenAdapter, client: Any, next_one: str | None = None) -> None:
        super().__init__("answers")
        self._adapter, self._client, self._next = adapter, client, next_one

    @message_handler
    async def on_text(self, message: Text, ctx: MessageContext) -> Text:
        asked = [UserMessage(content=message.text, source="user")]
        result = await self._client.create(asked, cancellation_token=ctx.cancellation_token)
        text = str(result.content)
        if self._next is None:
            return Text(text)
        more = await self._adapter.send_message(self.runtime, message, self._next, sender=self.id)
        return Text(f"{text} {more.text}")


async def started(**agents: Any) -> SingleThreadedAgentRuntime:
    runtime = SingleThreadedAgentRuntime()
    for name, agent in agents.items():
        await Answering.register(runtime, name, agent)
    runtime.start()
    return runtime


async def test_send_message(provider: FakeProvider, schedulers: Schedulers) -> None:
    """A message is answered by its handler, which may send others: with one slot for all, since
    none is held around a handler. Calls have the names of the agents that make them."""
    scheduler = schedulers(1)
    adapter = AutoGenAdapter(scheduler)
    client = adapter.client(client_of(provider))
    runtime = await started(
        first=lambda: Answering(adapter, client, "second"),
        second=lambda: Answering(adapter, client),
    )
    recipients = "first", AgentId("first", "other")
    answers = await asyncio.gather(
        *(adapter.send_message(runtime, Text("Hi"), to) for to in recipients)
    )
    assert answers == [Text(f"{TEXT} {TEXT}")] * 2
    await runtime.stop_when_idle()
    assert provider.peak == 1
    assert (await scheduler.snapshot()).granted == 4
    assert sorted(await scheduler.metrics.actual_tokens_by_agent()) == ["first", "second"]


async def test_publish_message(provider: FakeProvider, schedulers: Schedulers) -> None:
    """A published message reaches all who subscribe."""
    scheduler = schedulers(1)
    adapter = AutoGenAdapter(scheduler)
    client = adapter.client(client_of(provider))
    runtime = await started(
        first=lambda: Answering(adapter, client), second=lambda: Answering(adapter, client)
    )
    for name in ("first", "second"):
        await runtime.add_subscription(TypeSubscription("news", name))
    await adapter.publish_message(runtime, Text("Hi"), "news")
    await adapter.publish_message(runtime, Text("Hi"), TopicId("news", "default"))
    await eventually(lambda: len(provider.requests) == 4)
    await runtime.stop_when_idle()
    assert provider.peak == 1
    assert (await scheduler.snapshot()).granted == 4


async def test_errors_of_messages(schedulers: Schedulers) -> None:
    """An agent that is not there is AutoGen's error; sending in a slot of the program, for which
    the handler might wait, is the scheduler's."""
    scheduler = schedulers(1)
    adapter = AutoGenAdapter(scheduler)
    runtime = await started()
    with pytest.raises(Exception, match="Recipient not found"):
        await adapter.send_message(runtime, Text("Hi"), "nobody")
    async with scheduler.acquire("program"):
        with pytest.raises(ReentrantAcquireError):
            await adapter.send_message(runtime, Text("Hi"), "nobody")
    await runtime.stop()


async def test_team(provider: FakeProvider, schedulers: Schedulers) -> None:
    """In a team each turn has a slot, in the name of the agent whose turn it is."""
    scheduler = schedulers(1)
    client = AutoGenAdapter(scheduler).client(client_of(provider))
    agents: list[Any] = [AssistantAgent(name, client) for name in ("writer", "critic")]
    team = RoundRobinGroupChat(agents, termination_condition=MaxMessageTermination(3))
    result = await team.run(task="Hi")
    assert [message.source for message in result.messages] == ["user", "writer", "critic"]
    assert (await scheduler.snapshot()).granted == 2
    assert sorted(await scheduler.metrics.actual_tokens_by_agent()) == ["critic", "writer"]


async def test_tools(schedulers: Schedulers) -> None:
    """A tool runs without a slot, between the turns that have one."""
    scheduler = schedulers(1)
    held: list[int] = []

    async def look_up(order: int) -> str:
        """Where an order is."""
        held.append((await scheduler.snapshot()).held)
        return f"order {order} is lost"

    call = CreateResult(
        content=[FunctionCall(id="1", name="look_up", arguments='{"order": 7}')],
        finish_reason="function_calls",
        usage=RequestUsage(prompt_tokens=10, completion_tokens=5),
        cached=False,
    )
    info: Any = {
        "vision": False,
        "function_calling": True,
        "json_output": False,
        "family": "unknown",
        "structured_output": False,
    }
    replay = ReplayChatCompletionClient([call, "It is lost."], model_info=info)
    client = AutoGenAdapter(scheduler).client(replay)
    agent = AssistantAgent("helper", client, tools=[look_up], reflect_on_tool_use=True)
    result = await agent.run(task="Where is order 7?")
    assert result.messages[-1].content == "It is lost."  # type: ignore[union-attr]
    assert held == [0]
    assert (await scheduler.snapshot()).granted == 2
