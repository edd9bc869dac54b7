"""Calls that only SDKs have, through each async way of an SDK: helpers, structured output, raw
responses, copies of a client, two layers at once."""

from __future__ import annotations

import inspect
import threading
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from loco_redis.adapters import AnthropicAdapter, AsyncScheduledTransport, OpenAIAdapter
from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.adapters.asks import QUESTION, Verdict
from tests.adapters.async_scene import AGENT, Scene, Scenes
from tests.adapters.async_ways import (
    KEY,
    SDK_WAYS,
    AdaptedAnthropic,
    AdaptedChat,
    TransportedAnthropic,
    TransportedChat,
)
from tests.adapters.settled import price
from tests.schedulers import Schedulers

TEXT = Reply().text
VERDICT = Verdict(answer=4, reason="It is counted.")
MIDDLE = 6

each_sdk = pytest.mark.parametrize("kind", SDK_WAYS)
each_openai = pytest.mark.parametrize("kind", [AdaptedChat, TransportedChat])
each_anthropic = pytest.mark.parametrize("kind", [AdaptedAnthropic, TransportedAnthropic])


@each_sdk
async def test_streaming_helper(scenes: Scenes) -> None:
    """The SDK's own helper gathers the answer from a scheduled stream."""
    scene = scenes()
    ask = scene.way.ask
    async with scene.way.api.stream(**ask.arguments) as stream:
        assert (await scene.scheduler.snapshot()).held == 1
        answer = await getattr(stream, ask.final)()
    assert ask.text(answer.model_dump()) == TEXT
    await scene.settled(slots=1)


@each_sdk
async def test_streaming_helper_left_early(scenes: Scenes) -> None:
    """Leaving its block early gives the slot back, and settles what had arrived."""
    scene = scenes()
    scene.provider.script(Reply(gate=threading.Event(), gate_after=MIDDLE))
    async with scene.way.api.stream(**scene.way.ask.arguments) as stream:
        await anext(stream)
    assert (await scene.scheduler.snapshot()).held == 0
    assert (await scene.released(slots=1))[0] > 0


@each_sdk
async def test_structured_output(scenes: Scenes) -> None:
    """parse() is scheduled, and gives what it gives without a scheduler."""
    scene = scenes()
    ask = scene.way.ask
    scene.provider.script(Reply(VERDICT.model_dump_json()))
    answer = await scene.way.api.parse(**ask.arguments, **ask.structured)
    assert ask.parsed(answer) == VERDICT
    await scene.settled(slots=1)


@each_sdk
async def test_structured_stream(scenes: Scenes) -> None:
    """So is a streaming helper that parses."""
    scene = scenes()
    ask = scene.way.ask
    scene.provider.script(Reply(VERDICT.model_dump_json()))
    async with scene.way.api.stream(**ask.arguments, **ask.structured) as stream:
        answer = await getattr(stream, ask.final)()
    assert ask.parsed(answer) == VERDICT
    await scene.settled(slots=1)


@each_sdk
async def test_raw_response(scenes: Scenes) -> None:
    """with_raw_response shows the provider's headers and body."""
    scene = scenes()
    ask = scene.way.ask
    raw = await scene.way.api.with_raw_response.create(**ask.arguments)
    assert raw.headers["x-request-id"] == "req_000001"
    parsed = raw.parse()
    if inspect.isawaitable(parsed):  # in one SDK it is, in the other not
        parsed = await parsed
    assert ask.text(parsed.model_dump()) == TEXT
    await scene.settled(slots=1)


@each_sdk
async def test_streaming_response(scenes: Scenes) -> None:
    """with_streaming_response holds its slot until its block is left, read or not."""
    scene = scenes()
    ask, create = scene.way.ask, scene.way.api.with_streaming_response.create
    async with create(**ask.arguments) as response:
        assert (await scene.scheduler.snapshot()).held == 1
        assert ask.text((await response.parse()).model_dump()) == TEXT
    await scene.settled(slots=1)
    async with create(**ask.arguments) as response:
        assert response.status_code == 200
    assert (await scene.scheduler.snapshot()).held == 0
    await scene.released(slots=2)


@each_sdk
async def test_copies_stay_scheduled(scenes: Scenes) -> None:
    """with_options() and copy() give clients that take slots, too."""
    scene = scenes()
    for client in (scene.way.client.with_options(timeout=5.0), scene.way.client.copy()):
        answer = await scene.way.ask.of(client).create(**scene.way.ask.arguments)
        assert scene.way.ask.text(answer.model_dump()) == TEXT
    await scene.settled(slots=2)


@each_sdk
async def test_usage_is_the_callers(scenes: Scenes) -> None:
    """The caller sees the usage that the provider said, and no more than was asked for."""
    scene = scenes()
    whole = (await scene.way.api.create(**scene.way.ask.arguments)).model_dump()
    billed = scene.provider.reported[0]
    shown = whole["usage"]
    assert billed.output_tokens in (shown.get("output_tokens"), shown.get("completion_tokens"))
    await scene.settled(slots=1)


@each_openai
async def test_usage_chunk(scenes: Scenes) -> None:
    """The chunk of usage is there for those who ask for it, and for nobody else."""
    scene = scenes()
    options: dict[str, Any]
    for options, asked in (
        ({}, False),
        ({"stream_options": {"include_usage": False}}, False),
        ({"stream_options": {"include_usage": True}}, True),
    ):
        stream = await scene.way.api.create(**scene.way.ask.arguments, stream=True, **options)
        chunks = [chunk async for chunk in stream]
        last = scene.provider.reported[-1]
        assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == (
            [last.total_tokens] if asked else []
        )
        assert all(chunk.choices for chunk in chunks) is not asked
    await scene.settled(slots=3)


@each_openai
async def test_embeddings(scenes: Scenes) -> None:
    """Embeddings are scheduled, in both encodings."""
    scene = scenes()
    model = "text-embedding-3-small"
    packed = await scene.way.client.embeddings.create(model=model, input=[QUESTION, "b"])
    plain = await scene.way.client.embeddings.create(
        model=model, input=[QUESTION, "b"], encoding_format="float"
    )
    assert packed.data == plain.data
    await scene.settled(slots=2)


@each_openai
async def test_openai_calls_without_a_slot(scenes: Scenes) -> None:
    """Listing models takes none."""
    scene = scenes()
    assert "gpt-5" in [model.id async for model in scene.way.client.models.list()]
    await scene.settled(slots=0)


@each_anthropic
async def test_anthropic_calls_without_a_slot(scenes: Scenes) -> None:
    """Counting tokens and listing models take none."""
    scene = scenes()
    counted = await scene.way.client.messages.count_tokens(
        model="claude-opus-4-1", messages=[{"role": "user", "content": QUESTION}]
    )
    assert counted.input_tokens > 40
    assert [model.id async for model in scene.way.client.models.list()]
    await scene.settled(slots=0)


async def test_two_layers(provider: FakeProvider, schedulers: Schedulers) -> None:
    """An adapter around a client that has the transport, too, takes one slot and settles once."""
    scheduler = schedulers(1)
    options: dict[str, Any] = {"agent_id": AGENT, "prices": price}
    under = httpx2.AsyncClient(transport=AsyncScheduledTransport(scheduler, **options))
    messages = AdaptedAnthropic.ask
    client = anthropic.AsyncAnthropic(
        base_url=provider.anthropic_url, api_key=KEY, max_retries=0, http_client=under
    )
    adapter = AnthropicAdapter(scheduler, client, **options)
    await adapter.create(**messages.arguments)
    stream = await adapter.create(**messages.arguments, stream=True)
    assert [event.type async for event in stream][-1] == "message_stop"
    wrapped_twice = AnthropicAdapter(scheduler, adapter.client, **options)
    await wrapped_twice.create(**messages.arguments)
    scene = Scene(None, scheduler, provider, schedulers.server)
    await scene.settled(slots=3)
    await client.close()


async def test_two_layers_of_openai(provider: FakeProvider, schedulers: Schedulers) -> None:
    """The same for OpenAI."""
    scheduler = schedulers(1)
    options: dict[str, Any] = {"agent_id": AGENT, "prices": price}
    under = httpx2.AsyncClient(transport=AsyncScheduledTransport(scheduler, **options))
    chat = AdaptedChat.ask
    client = openai.AsyncOpenAI(
        base_url=provider.openai_url, api_key=KEY, max_retries=0, http_client=under
    )
    adapter = OpenAIAdapter(scheduler, client, **options)
    await adapter.client.chat.completions.create(**chat.arguments)
    stream = await adapter.client.chat.completions.create(**chat.arguments, stream=True)
    assert all([chunk.choices async for chunk in stream])
    wrapped_twice = OpenAIAdapter(scheduler, adapter.client, **options)
    await wrapped_twice.create_chat(AGENT, **chat.arguments)
    scene = Scene(None, scheduler, provider, schedulers.server)
    await scene.settled(slots=3)
    await client.close()


async def test_methods_of_the_adapters(
    provider: FakeProvider, schedulers: Schedulers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """create_message(), create_chat() and create_response() call for the agent they name, with a
    client made from the environment."""
    for name, value in provider.environment.items():
        monkeypatch.setenv(name, value)
    scheduler = schedulers(1)
    claude = AnthropicAdapter(scheduler, prices=price)
    gpt = OpenAIAdapter(scheduler, prices=price)
    await claude.create_message("müller", **AdaptedAnthropic.ask.arguments)
    await gpt.create_chat("b", **AdaptedChat.ask.arguments)
    await gpt.create_response("c", model="gpt-5", input=QUESTION)
    scene = Scene(None, scheduler, provider, schedulers.server)
    await scene.settled(slots=3)
    billed = [bill.total_tokens for bill in provider.reported]
    by_agent = await scheduler.metrics.actual_tokens_by_agent()
    assert by_agent == dict(zip(("müller", "b", "c"), billed, strict=True))
    await claude.client.close()
    await gpt.client.close()
