"""Agents and clients of the framework: tools, names, layers, refusals, money, other middleware."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import openai
import pytest
from agent_framework import (
    Agent,
    BaseChatClient,
    ChatContext,
    ChatMiddleware,
    ChatMiddlewareLayer,
    ChatResponse,
    ChatResponseUpdate,
    Content,
    FunctionInvocationLayer,
    Message,
    MiddlewareTermination,
    ResponseStream,
    UsageDetails,
    tool,
)
from agent_framework.exceptions import ChatClientException
from agent_framework.openai import OpenAIChatClient, OpenAIChatCompletionClient

import loco_redis
from loco_redis import AcquireTimeoutError, BudgetExceededError, BudgetPolicy
from loco_redis.adapters import OpenAIAdapter
from loco_redis.adapters.agent_framework import SchedulerAgentMiddleware, SchedulerChatMiddleware
from loco_redis.testing.fake_provider import Billed, FakeProvider, Reply
from tests.adapters.settled import price, reported, settle_down, settled
from tests.schedulers import Schedulers
from tests.waiting import eventually

TEXT = Reply().text
OPUS, NANO = "gpt-5", "gpt-5-nano"
KINDS = [OpenAIChatClient, OpenAIChatCompletionClient]


def sdk(provider: FakeProvider, **more: Any) -> openai.AsyncOpenAI:
    more = {"max_retries": 0, **more}
    return openai.AsyncOpenAI(base_url=provider.openai_url, api_key="any", **more)


def client_of(
    provider: FakeProvider, *middleware: Any, kind: Any = OpenAIChatClient, model: str = NANO
) -> Any:
    return kind(model=model, async_client=sdk(provider), middleware=list(middleware))


async def ran(agent: Any, streamed: bool, question: str = "Hi") -> str:
    if not streamed:
        return str((await agent.run(question)).text)
    stream = agent.run(question, stream=True)
    async for _ in stream:
        pass
    return str((await stream.get_final_response()).text)


class Bare(ChatMiddlewareLayer, BaseChatClient):  # type: ignore[misc]
    """A client that says what it is told, and calls no tools."""

    model = "scripted"

    def __init__(
        self, *, answers: Sequence[Sequence[Content]], usage: UsageDetails, **more: Any
    ) -> None:
        super().__init__(**more)
        self.answers, self.usage = list(answers), usage

    def _inner_get_response(self, *, messages: Any, stream: bool, options: Any, **_: Any) -> Any:
        contents = list(self.answers.pop(0))
        if not stream:
            return self._whole(contents)
        return ResponseStream(self._pieces(contents), finalizer=ChatResponse.from_updates)

    async def _whole(self, contents: list[Content]) -> ChatResponse:
        message = Message(role="assistant", contents=contents)
        return ChatResponse(messages=[message], usage_details=self.usage)

    async def _pieces(self, contents: list[Content]) -> AsyncIterator[ChatResponseUpdate]:
        if self.usage:
            contents = [*contents, Content.from_usage(self.usage)]
        for content in contents:
            yield ChatResponseUpdate(role="assistant", contents=[content])


class Scripted(FunctionInvocationLayer, Bare):  # type: ignore[misc]
    """One that calls tools."""


@pytest.mark.parametrize("streamed", [False, True])
async def test_tools(schedulers: Schedulers, streamed: bool) -> None:
    """Each turn of the tool loop has a slot, in the agent's name; tools run without one, so that
    what they call, another agent too, may have one."""
    scheduler = schedulers(1)
    held: list[int] = []
    usage: UsageDetails = {
        "input_token_count": 100,
        "output_token_count": 10,
        "total_token_count": 110,
    }
    own = SchedulerAgentMiddleware(scheduler)
    said = [Content.from_text("It is lost.")]
    clerk = Agent(Scripted(answers=[said], usage=usage), name="clerk", middleware=[own])

    @tool(approval_mode="never_require")
    async def look_up(order: int) -> str:
        """Where an order is."""
        held.append((await scheduler.snapshot()).held)
        return await ran(clerk, streamed)

    call = [Content.from_function_call("one", "look_up", arguments='{"order": 7}')]
    client = Scripted(answers=[call, [Content.from_text("Sorry.")]], usage=usage)
    agent = Agent(client, name="desk", tools=[look_up], middleware=[own])
    assert await ran(agent, streamed) == "Sorry."
    assert held == [0]
    assert (await scheduler.snapshot()).granted == 3
    assert await scheduler.metrics.actual_tokens_by_agent() == {"desk": 220, "clerk": 110}


async def test_agents_side_by_side(provider: FakeProvider, schedulers: Schedulers) -> None:
    """Agents with one client share the capacity, each under its own name."""
    scheduler = schedulers(2)
    provider.default = Reply(delay=0.02)
    client, own = client_of(provider), SchedulerAgentMiddleware(scheduler, prices=price)
    names = [f"agent {number}" for number in range(6)]
    agents = [Agent(client, name=name, middleware=[own]) for name in names]
    await asyncio.gather(
        *(ran(agent, name < "agent 3") for name, agent in zip(names, agents, strict=True))
    )
    assert provider.peak == 2
    await settle_down(schedulers.server, provider)
    assert await settled(scheduler) == reported(provider)
    assert sorted(await scheduler.metrics.actual_tokens_by_agent()) == names


async def test_names(provider: FakeProvider, schedulers: Schedulers) -> None:
    """The context names the agent, else the options, else the framework's agent."""
    scheduler = schedulers()
    own = SchedulerAgentMiddleware(scheduler)
    named = SchedulerAgentMiddleware(scheduler, agent_id="of the options")
    await ran(Agent(client_of(provider), name="own", middleware=[own]), True)
    await ran(Agent(client_of(provider), middleware=[own]), False)
    await ran(Agent(client_of(provider), name="own", middleware=[named]), True)
    with loco_redis.agent("of the context"):
        await ran(Agent(client_of(provider), name="own", middleware=[named]), False)
    chat = SchedulerChatMiddleware(scheduler, agent_id="of the client")
    await ran(Agent(client_of(provider, chat), name="own"), False)
    by_agent = await scheduler.metrics.actual_tokens_by_agent()
    names = ["default", "of the client", "of the context", "of the options", "own"]
    assert sorted(by_agent) == names


@pytest.mark.parametrize("streamed", [False, True])
async def test_two_layers(provider: FakeProvider, schedulers: Schedulers, streamed: bool) -> None:
    """With middleware of client and agent, over a scheduled SDK, a request has one slot."""
    scheduler = schedulers()
    inner = OpenAIAdapter(scheduler, prices=price).wrap(sdk(provider))
    chat = SchedulerChatMiddleware(scheduler, prices=price)
    client = OpenAIChatClient(model=NANO, async_client=inner, middleware=[chat])
    own = SchedulerAgentMiddleware(scheduler, prices=price)
    agent = Agent(client, middleware=[own, SchedulerChatMiddleware(scheduler, prices=price)])
    assert await ran(agent, streamed) == TEXT
    await settle_down(schedulers.server, provider)
    assert (await scheduler.snapshot()).granted == len(provider.requests) == 1
    assert await settled(scheduler) == reported(provider)


@pytest.mark.parametrize("streamed", [False, True])
async def test_refusals(provider: FakeProvider, schedulers: Schedulers, streamed: bool) -> None:
    """What the scheduler raises comes out as it is, before anything is sent."""
    scheduler = schedulers(budget=BudgetPolicy(limits={"poor": 0}))
    own = SchedulerAgentMiddleware(scheduler, timeout=0.3)
    client = client_of(provider)
    with pytest.raises(BudgetExceededError):
        await ran(Agent(client, name="poor", middleware=[own]), streamed)
    async with scheduler.acquire("other"):
        late = ran(Agent(client, name="late", middleware=[own]), streamed)
        with pytest.raises(AcquireTimeoutError):
            await asyncio.create_task(late, context=contextvars.Context())
    assert provider.requests == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("streamed", [False, True])
async def test_throttling(
    provider: FakeProvider, schedulers: Schedulers, kind: Any, streamed: bool
) -> None:
    """A 429, which the framework wraps, holds the fleet for as long as the provider asks."""
    scheduler, seconds = schedulers(), 30
    client = client_of(provider, SchedulerChatMiddleware(scheduler), kind=kind)
    provider.script(Reply(status=429, retry_after=seconds))
    with pytest.raises(ChatClientException):
        await ran(Agent(client), streamed)
    assert 0 < (await scheduler.snapshot()).paused_for <= seconds


@pytest.mark.parametrize("kind", KINDS)
async def test_downgrade(provider: FakeProvider, schedulers: Schedulers, kind: Any) -> None:
    """Over the budget the cheaper model is asked, by the same client."""
    budget = BudgetPolicy(default_limit=0.5, on_exceeded="downgrade")
    scheduler = schedulers(budget=budget)
    chat = SchedulerChatMiddleware(scheduler, prices=price, fallback_models={OPUS: NANO})
    provider.default = Reply(billed=Billed(OPUS, 100, 0, 0, 100, 0))
    client = client_of(provider, chat, kind=kind, model=OPUS)
    agent = Agent(client, default_options={"max_tokens": 64})
    for streamed in (False, False, True):
        await ran(agent, streamed)
    assert [request.body["model"] for request in provider.requests] == [OPUS, NANO, NANO]
    assert set(await scheduler.metrics.attribution.cost_by_model()) == {OPUS, NANO}


async def test_awaited_and_dropped(schedulers: Schedulers) -> None:
    """A stream that is awaited has its slot, and gives it back when it is dropped unread."""
    scheduler = schedulers()
    client = Bare(answers=[[]], usage={}, middleware=[SchedulerChatMiddleware(scheduler)])
    stream = await client.get_response([Message(role="user", contents=["Hi"])], stream=True)
    snapshot = await scheduler.snapshot()
    assert (snapshot.held, snapshot.granted) == (1, 1)
    del stream
    gc.collect()  # the framework's context is part of a cycle
    await eventually(lambda: schedulers.held() == 0)
    assert await settled(scheduler) == (0, 0.0)


@pytest.mark.parametrize("kind", KINDS)
async def test_dropped_at_once(provider: FakeProvider, schedulers: Schedulers, kind: Any) -> None:
    """A client's stream that is dropped half read gives its slot back without the garbage
    collector's help; that of an agent, which is part of a cycle, needs it."""
    scheduler = schedulers()
    client = client_of(provider, SchedulerChatMiddleware(scheduler), kind=kind)
    gate = threading.Event()
    provider.script(Reply(gate=gate, gate_after=6))
    gc.disable()
    try:
        question = [Message(role="user", contents=["Hi"])]
        stream = client.get_response(question, stream=True)
        async for update in stream:
            if update.text:
                break
        del stream, update
        await eventually(lambda: schedulers.held() == 0)
    finally:
        gc.enable()
    gate.set()


async def test_final_response(provider: FakeProvider, schedulers: Schedulers) -> None:
    """The whole of a stream, read by the framework itself, has its text, usage and hooks."""
    scheduler = schedulers()
    seen: list[Any] = []

    class Hooks(ChatMiddleware):  # type: ignore[misc]
        async def process(
            self, context: ChatContext, call_next: Callable[[], Awaitable[None]]
        ) -> None:
            context.stream_transform_hooks.append(lambda update: seen.append("update"))
            context.stream_result_hooks.append(lambda result: seen.append("result"))
            context.stream_cleanup_hooks.append(lambda: seen.append("cleanup"))
            await call_next()

    chat = SchedulerChatMiddleware(scheduler, prices=price)
    for order in ([Hooks(), chat], [chat, Hooks()]):
        seen.clear()
        client = client_of(provider, *order)
        stream = client.get_response([Message(role="user", contents=["Hi"])], stream=True)
        answer = await stream.get_final_response()
        assert answer.text == TEXT
        assert answer.usage_details["total_token_count"] == provider.reported[-1].total_tokens
        assert seen.count("update") > 3
        assert [name for name in seen if name != "update"] == ["cleanup", "result"]
    await settle_down(schedulers.server, provider)
    assert await settled(scheduler) == reported(provider)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("answered", [False, True])
async def test_another_middleware_answers(
    schedulers: Schedulers, streamed: bool, answered: bool
) -> None:
    """A middleware below may end the request without asking: the slot comes back."""
    scheduler = schedulers()

    class Ends(ChatMiddleware):  # type: ignore[misc]
        async def process(
            self, context: ChatContext, call_next: Callable[[], Awaitable[None]]
        ) -> None:
            if not answered:
                raise MiddlewareTermination
            if not streamed:
                message = Message(role="assistant", contents=["Cached."])
                context.result = ChatResponse(messages=[message])

    client = Bare(answers=[], usage={}, middleware=[SchedulerChatMiddleware(scheduler), Ends()])
    question = [Message(role="user", contents=["Hi"])]
    if streamed:
        assert [update async for update in client.get_response(question, stream=True)] == []
    else:
        answer = await client.get_response(question)
        assert answer is None if not answered else answer.text == "Cached."
    await eventually(lambda: schedulers.held() == 0)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("usage", "tokens", "thousandths"),
    [
        # OpenAI: the cache is in the input
        ({"cache_read_input_token_count": 60, "total_token_count": 110}, 110, 40 + 2 * 60 + 50),
        # Anthropic: it is beside it, and there is no total
        ({"cache_creation_input_token_count": 60}, 170, 100 + 3 * 60 + 50),
        # Bedrock: it is beside it, as the total shows
        ({"cache_read_input_token_count": 60, "total_token_count": 170}, 170, 100 + 120 + 50),
    ],
)
async def test_cache(
    schedulers: Schedulers, streamed: bool, usage: Any, tokens: int, thousandths: int
) -> None:
    """The tokens of a cache count once, whether the provider counts them to the input or not."""
    scheduler = schedulers()
    usage = {"input_token_count": 100, "output_token_count": 10, **usage}
    chat = SchedulerChatMiddleware(scheduler, prices=price)
    client = Scripted(answers=[[Content.from_text("Hi")]], usage=usage, middleware=[chat])
    await ran(Agent(client), streamed)
    assert await settled(scheduler) == (tokens, thousandths / 1000)


@pytest.mark.parametrize("streamed", [False, True])
async def test_client_that_does_not_tell(schedulers: Schedulers, streamed: bool) -> None:
    """An answer without usage costs its prompt and its text, by their length."""
    scheduler = schedulers()
    chat = SchedulerChatMiddleware(scheduler)
    client = Scripted(answers=[[Content.from_text("x" * 400)]], usage={}, middleware=[chat])
    await ran(Agent(client), streamed, "y" * 400)
    assert (await settled(scheduler))[0] == 200
