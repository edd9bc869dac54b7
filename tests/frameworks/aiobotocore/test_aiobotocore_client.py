"""A scheduled client of aiobotocore: what it is, how its streams are closed, how it fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from aiobotocore.eventstream import AioEventStream
from aiobotocore.response import StreamingBody
from botocore.client import BaseClient
from botocore.exceptions import ClientError, EventStreamError

import loco_redis
from loco_redis import BudgetPolicy, LOCOScheduler, SharedResource
from loco_redis.adapters.bedrock import BedrockAdapter
from loco_redis.testing.fake_provider import Billed, FakeProvider, Reply
from tests.adapters.asks import Bedrock, BedrockClaude
from tests.adapters.async_cases import TEXT
from tests.adapters.async_scene import AGENT, Scene
from tests.adapters.settled import price
from tests.frameworks.aiobotocore.aio_ways import made
from tests.schedulers import NAME, Schedulers
from tests.servers import Server
from tests.waiting import eventually

LLAMA: dict[str, Any] = {"modelId": "meta.llama3-1-8b-instruct-v1:0", "body": '{"prompt": "?"}'}
Make = Callable[..., tuple[BedrockAdapter, Scene]]


@pytest.fixture
def make(provider: FakeProvider, schedulers: Schedulers) -> Make:
    """An adapter, and the scene that it is in."""

    def make(governed: Any = None, **options: Any) -> tuple[BedrockAdapter, Scene]:
        scheduler = schedulers(1, **(governed or {}))
        options = {"agent_id": AGENT, "prices": price, **options}
        adapter = BedrockAdapter(scheduler, **options)
        return adapter, Scene(None, scheduler, provider, schedulers.server)

    return make


async def test_a_client_as_before(make: Make) -> None:
    """It passes for one of aiobotocore; the rest goes through. A second layer takes no slot."""
    adapter, scene = make()
    async with made(scene.provider) as plain:
        client = adapter.wrap(plain)
        assert isinstance(client, BaseClient)
        assert client.meta.service_model.service_name == "bedrock-runtime"
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            await client.count_tokens(modelId="m", input={"invokeModel": {"body": b"{}"}})
        twice = adapter.wrap(client)
        assert Bedrock.text(await twice.converse(**Bedrock.arguments)) == TEXT
    await scene.released(slots=1)


async def test_bodies(make: Make) -> None:
    """A body can be read in every way of aiobotocore, when its call has ended."""
    adapter, scene = make()
    async with made(scene.provider) as plain:
        client = adapter.wrap(plain)
        body = (await client.invoke_model(**BedrockClaude.arguments))["body"]
        assert isinstance(body, StreamingBody)
        assert (await scene.scheduler.snapshot()).held == 0
        head = await body.read(1)
        rest = [chunk async for chunk in body.iter_chunks(7)]
        assert BedrockClaude.text(head + b"".join(rest)) == TEXT
        body = (await client.invoke_model(**BedrockClaude.arguments))["body"]
        assert [line async for line in body]
        assert not body.readable()
        body.close()
        scene.provider.script(Reply(break_after=1))
        with pytest.raises(Exception):  # noqa: B017  aiohttp's own, whatever it is
            await client.invoke_model(**BedrockClaude.arguments)
    await scene.settled(slots=3)


async def test_usage_by_headers(make: Make) -> None:
    """Of models whose bodies do not say what they used, whole and streamed."""
    adapter, scene = make()
    async with made(scene.provider) as plain:
        client = adapter.wrap(plain)
        await client.invoke_model(**LLAMA)
        stream = (await client.invoke_model_with_response_stream(**LLAMA))["body"]
        assert [event async for event in stream]
    await scene.settled(slots=2)


async def test_closing_is_plain(make: Make) -> None:
    """`close()` of a stream is not awaited, as in aiobotocore; the slot is given back soon, and who
    still reads comes to the end."""
    adapter, scene = make()
    async with made(scene.provider) as plain:
        client = adapter.wrap(plain)
        scene.provider.script(Reply(gate=threading.Event(), gate_after=3))
        stream = (await client.converse_stream(**Bedrock.arguments))["stream"]
        assert isinstance(stream, AioEventStream)
        events = aiter(stream)
        await anext(events)
        assert stream.close() is None
        with pytest.raises(StopAsyncIteration):
            await anext(events)
        await eventually(lambda: scene.provider.disconnects == 1)
        await scene.snapshot_when(lambda now: now.held == 0)
        stream.close()
        await stream.aclose()
    tokens, _ = await scene.released(slots=1)
    assert 0 < tokens < Billed.of(scene.provider.requests[0].body, TEXT).total_tokens


async def test_left_and_read_on(make: Make) -> None:
    """A stream that was left in the middle can be read to its end."""
    adapter, scene = make()
    async with made(scene.provider) as plain:
        stream = (await adapter.wrap(plain).converse_stream(**Bedrock.arguments))["stream"]
        async for event in stream:
            assert event == {"messageStart": {"role": "assistant"}}
            break
        assert "".join([Bedrock.text_of_event(event) async for event in stream]) == TEXT
    await scene.settled(slots=1)


@pytest.mark.parametrize("in_the_stream", [False, True])
async def test_throttled(make: Make, in_the_stream: bool) -> None:
    """Too much, at once or in a stream, pauses the fleet."""
    adapter, scene = make()
    reply = Reply(stream_error="throttlingException") if in_the_stream else Reply(status=429)
    scene.provider.script(reply)
    async with made(scene.provider) as plain:
        with pytest.raises(EventStreamError if in_the_stream else ClientError, match="hrottling"):
            await _read(adapter.wrap(plain))
        now = await scene.scheduler.snapshot()
        assert now.held == 0
        assert now.paused_for > 0
    tokens, _ = await scene.released(slots=1)
    assert (tokens > 0) is in_the_stream


async def _read(client: Any) -> list[Any]:
    stream = (await client.converse_stream(**Bedrock.arguments))["stream"]
    return [event async for event in stream]


async def test_cancelling_breaks_the_connection(make: Make) -> None:
    """Unlike with boto3: a thread would go on."""
    adapter, scene = make()
    scene.provider.script(Reply(gate=threading.Event()))
    async with made(scene.provider) as plain:
        body = BedrockClaude.body
        asking = asyncio.create_task(_invoke(adapter, plain, body))
        await eventually(lambda: scene.provider.in_flight == 1)
        asking.cancel()
        await asyncio.wait([asking])
        assert (await scene.scheduler.snapshot()).held == 0
        await eventually(lambda: scene.provider.disconnects == 1)
    assert await scene.released(slots=1) == (0, 0.0)


async def _invoke(adapter: BedrockAdapter, plain: Any, body: Any) -> Any:
    adapter = BedrockAdapter(adapter._scheduler, plain, prices=price)
    return await adapter.invoke("müller", model_id=Bedrock.model, body=body)


async def test_invoke_for_an_agent(make: Make) -> None:
    """`invoke` calls for whom it names, also inside of another's context."""
    adapter, scene = make()
    async with made(scene.provider) as plain:
        with loco_redis.agent("outer", team="t"):
            response = await _invoke(adapter, plain, BedrockClaude.body)
        assert BedrockClaude.text(await response["body"].read()) == TEXT
    await scene.settled(slots=1)
    metrics = scene.scheduler.metrics
    assert set(await metrics.actual_tokens_by_agent()) == {"müller"}
    assert set(await metrics.attribution.cost_by_team()) == {"t"}


async def test_downgrade(make: Make) -> None:
    """Over the budget the cheaper model is called."""
    cheap, dear = "us.anthropic.claude-haiku-4-5", "us.anthropic.claude-opus-4-1"
    budget = BudgetPolicy(default_limit=0, on_exceeded="downgrade")
    adapter, scene = make({"budget": budget}, fallback_models={dear: cheap})
    async with made(scene.provider) as plain:
        client = adapter.wrap(plain)
        await client.converse(**{**Bedrock.arguments, "modelId": f"{dear}-20250805-v1:0"})
    assert scene.provider.requests[0].path == f"/model/{cheap}/converse"
    await scene.settled(slots=1)


async def test_of_a_blocking_scheduler(provider: FakeProvider, server: Server) -> None:
    """A LOCOScheduler is for plain clients: refused at once."""
    with LOCOScheduler((), SharedResource(NAME, 1), redis=server.url) as scheduler:
        async with made(provider) as plain:
            with pytest.raises(ValueError, match="an async client needs an AsyncLOCOScheduler"):
                BedrockAdapter(scheduler, plain)


async def test_what_is_still_to_be_entered(provider: FakeProvider) -> None:
    """What `create_client` gives is no client yet."""
    context = made(provider)
    with pytest.raises(ValueError, match="client must be .*ClientCreatorContext"):
        BedrockAdapter(None, context)
    async with context:
        pass
