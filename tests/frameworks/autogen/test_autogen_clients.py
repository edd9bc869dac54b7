"""Scheduled clients: tokens, names, layers, refusals, money, and what they forward."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import openai
import pytest
from autogen_core import CancellationToken, FunctionCall
from autogen_core.models import ChatCompletionClient, CreateResult, RequestUsage, UserMessage
from autogen_ext.models.cache import ChatCompletionCache
from autogen_ext.models.openai import OpenAIChatCompletionClient
from autogen_ext.models.replay import ReplayChatCompletionClient

import loco_redis
from loco_redis import AcquireTimeoutError, BudgetExceededError, BudgetPolicy
from loco_redis.adapters.autogen import AutoGenAdapter
from loco_redis.testing.fake_provider import Billed, FakeProvider, Reply
from tests.adapters.async_scene import Scene
from tests.adapters.settled import price, settle_down, settled
from tests.frameworks.autogen.figures import uncached
from tests.schedulers import Schedulers
from tests.waiting import eventually

TEXT = Reply().text
OPUS, NANO = "gpt-5", "gpt-5-nano"
ASKED = [UserMessage(content="Hi", source="user")]


def client_of(provider: FakeProvider, model: str = NANO, **more: Any) -> ChatCompletionClient:
    more = {"max_retries": 0, "max_completion_tokens": 64, **more}
    return OpenAIChatCompletionClient(
        model=model, base_url=provider.openai_url, api_key="any", **more
    )


async def asked(client: Any, streamed: bool, **more: Any) -> CreateResult:
    if not streamed:
        return await client.create(ASKED, **more)
    *_, result = [chunk async for chunk in client.create_stream(ASKED, **more)]
    return result


@pytest.mark.parametrize("streamed", [False, True])
async def test_cancellation_token(
    provider: FakeProvider, schedulers: Schedulers, streamed: bool
) -> None:
    """AutoGen's token ends a call in flight, in the queue, and before it has begun."""
    scheduler = schedulers()
    scene = Scene(None, scheduler, provider, schedulers.server)
    client = AutoGenAdapter(scheduler, prices=price).client(client_of(provider))
    provider.script(Reply(gate=threading.Event()))
    tokens = [CancellationToken(), CancellationToken(), CancellationToken()]
    first = asyncio.create_task(asked(client, streamed, cancellation_token=tokens[0]))
    await eventually(lambda: provider.in_flight == 1)
    second = asyncio.create_task(asked(client, streamed, cancellation_token=tokens[1]))
    await scene.snapshot_when(lambda now: now.waiting == 1)
    for token in reversed(tokens):
        token.cancel()
    third = asyncio.create_task(asked(client, streamed, cancellation_token=tokens[2]))
    await asyncio.wait([first, second, third])
    assert all(task.cancelled() for task in (first, second, third))
    assert await scene.released(slots=1) == (0, 0.0)


async def test_token_in_a_stream(provider: FakeProvider, schedulers: Schedulers) -> None:
    """The token ends a stream that is waiting for its next chunk, and its request."""
    scheduler = schedulers()
    client = AutoGenAdapter(scheduler).client(client_of(provider))
    provider.script(Reply(gate=threading.Event(), gate_after=3))
    token = CancellationToken()
    seen: list[Any] = []

    async def read() -> None:
        async for chunk in client.create_stream(ASKED, cancellation_token=token):
            seen.append(chunk)

    reading = asyncio.create_task(read())
    await eventually(lambda: seen)
    token.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await settle_down(schedulers.server, provider)
    assert provider.disconnects == 1


async def test_names(provider: FakeProvider, schedulers: Schedulers) -> None:
    """The context names the agent, else the client, else the adapter."""
    scheduler = schedulers()
    inner = client_of(provider)
    plain = AutoGenAdapter(scheduler)
    named = AutoGenAdapter(scheduler, agent_id="of the adapter")
    await asked(plain.client(inner), streamed=False)
    await asked(named.client(inner), streamed=True)
    await asked(named.client(inner, "of the client"), streamed=False)
    with loco_redis.agent("of the context"):
        await asked(named.client(inner, "of the client"), streamed=True)
    by_agent = await scheduler.metrics.actual_tokens_by_agent()
    assert sorted(by_agent) == ["default", "of the adapter", "of the client", "of the context"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_two_layers(provider: FakeProvider, schedulers: Schedulers, streamed: bool) -> None:
    """Over another scheduled client a request has one slot; over AutoGen's cache what is not in it
    has one, and what is costs nothing."""
    scheduler = schedulers()
    adapter = AutoGenAdapter(scheduler, prices=price)
    twice = adapter.client(adapter.client(client_of(provider)))
    cached = adapter.client(ChatCompletionCache(adapter.client(client_of(provider))))
    for client in (twice, cached, cached):
        assert (await asked(client, streamed)).content == TEXT
    await settle_down(schedulers.server, provider)
    assert len(provider.requests) == 2
    assert (await scheduler.snapshot()).granted == 3
    assert await settled(scheduler) == uncached(provider)


async def test_cache_above(provider: FakeProvider, schedulers: Schedulers) -> None:
    """Under AutoGen's cache an answer that is cached takes no slot."""
    scheduler = schedulers()
    cached = ChatCompletionCache(AutoGenAdapter(scheduler).client(client_of(provider)))
    for _ in range(2):
        assert (await asked(cached, streamed=False)).content == TEXT
    assert (await scheduler.snapshot()).granted == len(provider.requests) == 1


@pytest.mark.parametrize("streamed", [False, True])
async def test_refusals(provider: FakeProvider, schedulers: Schedulers, streamed: bool) -> None:
    """What the scheduler raises comes out as it is, before anything is sent."""
    scheduler = schedulers(budget=BudgetPolicy(limits={"poor": 0}))
    adapter = AutoGenAdapter(scheduler, timeout=0.3)
    with pytest.raises(BudgetExceededError):
        await asked(adapter.client(client_of(provider), "poor"), streamed)
    async with scheduler.acquire("other"):
        late = asked(
            adapter.client(client_of(provider)), streamed, cancellation_token=CancellationToken()
        )
        with pytest.raises(AcquireTimeoutError):
            await asyncio.create_task(late, context=contextvars.Context())
    assert provider.requests == []


@pytest.mark.parametrize("streamed", [False, True])
async def test_throttling(provider: FakeProvider, schedulers: Schedulers, streamed: bool) -> None:
    """A 429 holds the fleet for as long as the provider asks."""
    scheduler, seconds = schedulers(), 30
    client = AutoGenAdapter(scheduler).client(client_of(provider))
    provider.script(Reply(status=429, retry_after=seconds))
    with pytest.raises(openai.RateLimitError):
        await asked(client, streamed)
    assert 0 < (await scheduler.snapshot()).paused_for <= seconds


async def test_retries_in_the_slot(provider: FakeProvider, schedulers: Schedulers) -> None:
    """The SDK's own retries are made in the slot of their call."""
    scheduler = schedulers()
    client = AutoGenAdapter(scheduler, prices=price).client(client_of(provider, max_retries=1))
    provider.script(Reply(status=500, retry_after=0.01))
    assert (await asked(client, streamed=False)).content == TEXT
    assert len(provider.requests) == 2
    assert (await scheduler.snapshot()).granted == 1
    await settle_down(schedulers.server, provider)
    assert await settled(scheduler) == uncached(provider)


async def test_downgrade(provider: FakeProvider, schedulers: Schedulers) -> None:
    """Over the budget the cheaper model is asked, by the same client."""
    budget = BudgetPolicy(default_limit=0.5, on_exceeded="downgrade")
    scheduler = schedulers(budget=budget)
    adapter = AutoGenAdapter(scheduler, prices=price, fallback_models={OPUS: NANO})
    provider.default = Reply(billed=Billed(OPUS, 100, 0, 0, 100, 0))
    client = adapter.client(client_of(provider, OPUS))
    for streamed in (False, False, True):
        await asked(client, streamed, extra_create_args={"user": "somebody"})
    assert [request.body["model"] for request in provider.requests] == [OPUS, NANO, NANO]
    assert {request.body["user"] for request in provider.requests} == {"somebody"}
    assert set(await scheduler.metrics.attribution.cost_by_model()) == {OPUS, NANO}


async def test_usage_of_streams(provider: FakeProvider, schedulers: Schedulers) -> None:
    """They are asked for their usage unless the client or its caller has said; else the text is
    counted."""
    scheduler, silent = schedulers(), {"include_usage": False}
    adapter = AutoGenAdapter(scheduler)
    client = adapter.client(client_of(provider))
    assert (await asked(client, streamed=True)).usage.completion_tokens > 0
    told = (await settled(scheduler))[0]
    assert told == uncached(provider)[0]
    await asked(client, streamed=True, extra_create_args={"stream_options": silent})
    await asked(adapter.client(client_of(provider, stream_options=silent)), streamed=True)
    options = [request.body["stream_options"] for request in provider.requests]
    assert options == [{"include_usage": True}, silent, silent]
    counted = (await settled(scheduler))[0] - told
    assert 2 * (len(TEXT) // 4) <= counted < 2 * told


async def test_client_that_does_not_tell(schedulers: Schedulers) -> None:
    """An answer without usage costs its prompt and its text, or its calls, by their length."""
    scheduler = schedulers()
    replies: list[Any] = [
        CreateResult(
            content=content,
            finish_reason="stop",
            usage=RequestUsage(prompt_tokens=0, completion_tokens=0),
            cached=False,
        )
        for content in ("x" * 400, [FunctionCall(id="1", name="f", arguments="x" * 400)])
    ]
    client = AutoGenAdapter(scheduler).client(Silent(replies))
    for _ in replies:
        await client.create([UserMessage(content="y" * 400, source="user")])
    assert (await settled(scheduler))[0] == 400


class Silent(ReplayChatCompletionClient):
    async def create(self, *arguments: Any, **more: Any) -> CreateResult:
        return self.chat_completions.pop(0)  # type: ignore[return-value]


async def test_forwards(provider: FakeProvider) -> None:
    """A scheduled client is asked like the one that it is made of."""
    inner = client_of(provider)
    client = AutoGenAdapter().client(inner)
    assert isinstance(client, ChatCompletionClient)
    assert client.model_info == inner.model_info
    assert client.capabilities == inner.capabilities
    assert client.total_usage() is inner.total_usage()
    assert client.actual_usage() is inner.actual_usage()
    assert client._client is inner._client  # type: ignore[attr-defined]
    assert repr(client) == f"<scheduled {inner!r}>"
    with pytest.raises(AttributeError, match="nothing"):
        _ = client.nothing
    await client.close()
    assert inner._client.is_closed()  # type: ignore[attr-defined]

    replay = ReplayChatCompletionClient(["one two"])  # OpenAI's counts by a file of the network
    counting = AutoGenAdapter().client(replay)
    assert counting.count_tokens(ASKED, tools=[]) == replay.count_tokens(ASKED)
    assert counting.remaining_tokens(ASKED, tools=[]) == replay.remaining_tokens(ASKED)


async def test_component(redis_url: str) -> None:
    """Dumped and loaded, a client goes through the configured scheduler, by the same options."""
    options: Any = {"agent_id": "dumped", "timeout": 5.0, "weight": 2.0}
    adapter = AutoGenAdapter(**options, fallback_models={OPUS: NANO})
    replay = ReplayChatCompletionClient([TEXT])
    dumped = adapter.client(replay).dump_component()
    assert dumped.provider == "loco_redis.adapters.autogen.ScheduledClient"
    loaded = ChatCompletionClient.load_component(dumped.model_dump())
    made, own = loaded._conductor.options, adapter._conductor.options  # type: ignore[attr-defined]
    assert (made.agent_id, made.timeout, made.weight) == ("dumped", 5.0, 2.0)
    assert made.fallback_models == own.fallback_models
    loco_redis.configure(capacity=1, redis=redis_url, resource_name="llm")
    try:
        assert (await loaded.create(ASKED)).content == TEXT
        assert (await loco_redis.get_scheduler().snapshot()).granted == 1
    finally:
        await loco_redis.reset()
