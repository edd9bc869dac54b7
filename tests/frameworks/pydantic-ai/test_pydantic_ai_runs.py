"""Agents of PydanticAI: tools, names, fallbacks, two layers, errors, money."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ImageUrl, ModelRequest, ModelResponse, TextPart
from pydantic_ai.models import ModelRequestContext, ModelRequestParameters
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import RequestUsage

import loco_redis
from loco_redis import (
    AcquireTimeoutError,
    AsyncLOCOScheduler,
    BudgetExceededError,
    BudgetPolicy,
)
from loco_redis.adapters import AnthropicAdapter, OpenAIAdapter
from loco_redis.adapters.pydantic_ai import PydanticAIAdapter
from loco_redis.testing.fake_provider import Billed, FakeProvider, Reply
from tests.adapters.async_scene import Scene
from tests.adapters.settled import price, reported, settle_down, settled
from tests.schedulers import Schedulers

TEXT = Reply().text
GPT, NANO, OPUS = "gpt-5", "gpt-5-nano", "claude-opus-4-1"
SETTINGS: Any = {"max_tokens": 64}


def openai_client(provider: FakeProvider) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=provider.openai_url, api_key="any", max_retries=0)


def chat(provider: FakeProvider, name: str = NANO, client: Any = None) -> OpenAIChatModel:
    made = OpenAIProvider(openai_client=client or openai_client(provider))
    return OpenAIChatModel(name, provider=made, settings=SETTINGS)


def messages(provider: FakeProvider, client: Any = None) -> AnthropicModel:
    client = client or anthropic.AsyncAnthropic(
        base_url=provider.anthropic_url, api_key="any", max_retries=0
    )
    return AnthropicModel(OPUS, provider=AnthropicProvider(anthropic_client=client))


async def ran(agent: Agent[Any, Any], streamed: bool) -> Any:
    """The run's output."""
    if not streamed:
        return (await agent.run("Hi")).output
    async with agent.run_stream("Hi") as result:
        return await result.get_output()


async def granted(scheduler: AsyncLOCOScheduler) -> int:
    return (await scheduler.snapshot()).granted


class Silent(TestModel):
    """Answers 400 characters, and does not tell what they cost."""

    async def request(self, *_: Any) -> ModelResponse:
        return ModelResponse([TextPart("x" * 400)], usage=RequestUsage())

    async def compact_messages(self, *_: Any, **more: Any) -> ModelResponse:
        assert more == {"instructions": "Be brief."}
        return await self.request()

    async def count_tokens(self, *_: Any) -> RequestUsage:
        return RequestUsage(input_tokens=100)


class Verdict(BaseModel):
    answer: int


@pytest.mark.parametrize("streamed", [False, True])
async def test_tools(schedulers: Schedulers, streamed: bool) -> None:
    """Each request has a slot, also those after a tool or a bad output; tools run without one."""
    scheduler = schedulers()
    model = PydanticAIAdapter(scheduler).model(TestModel())
    agent = Agent(model, name="counter", output_type=Verdict)
    held: list[int] = []

    @agent.tool_plain
    async def look_up(order: int) -> str:
        held.append((await scheduler.snapshot()).held)
        if len(held) == 1:
            raise ModelRetry("again")
        return f"order {order} is lost"

    assert isinstance(await ran(agent, streamed), Verdict)
    assert held == [0, 0]
    assert await granted(scheduler) == 3
    assert list(await scheduler.metrics.actual_tokens_by_agent()) == ["counter"]


async def test_agents_side_by_side(provider: FakeProvider, schedulers: Schedulers) -> None:
    """Agents with models of two providers share the capacity, each under its own name."""
    scheduler = schedulers(2)
    provider.default = Reply(delay=0.02)
    adapter = PydanticAIAdapter(scheduler, prices=price)
    models = [adapter.model(chat(provider)), adapter.model(messages(provider))]
    names = [f"agent {number}" for number in range(6)]
    agents = [Agent(models[at % 2], name=name) for at, name in enumerate(names)]
    await asyncio.gather(*(ran(agent, at % 3 == 0) for at, agent in enumerate(agents)))
    assert provider.peak == 2
    await settle_down(schedulers.server, provider)
    assert await settled(scheduler) == reported(provider)
    assert sorted(await scheduler.metrics.actual_tokens_by_agent()) == names


async def test_names(provider: FakeProvider, schedulers: Schedulers) -> None:
    """The context names the agent, else the adapter's options, else PydanticAI, which calls an
    agent as the variable is called; a request without an agent is the default one's."""
    scheduler = schedulers()
    own = PydanticAIAdapter(scheduler).model(chat(provider))
    named = PydanticAIAdapter(scheduler, agent_id="of the adapter").model(chat(provider))
    variable = Agent(own)
    await variable.run("Hi")
    async with Agent(own, name="streamed").run_stream("Hi") as result:
        await result.get_output()
    await Agent(named, name="own").run("Hi")
    with loco_redis.agent("of the context"):
        await Agent(named, name="own").run("Hi")
    await own.request([ModelRequest.user_text_prompt("Hi")], None, ModelRequestParameters())
    assert sorted(await scheduler.metrics.actual_tokens_by_agent()) == [
        "default",
        "of the adapter",
        "of the context",
        "streamed",
        "variable",
    ]


@pytest.mark.parametrize("streamed", [False, True])
async def test_two_layers(provider: FakeProvider, schedulers: Schedulers, streamed: bool) -> None:
    """Over a scheduled client, or over a scheduled model, a request has one slot."""
    scheduler = schedulers()
    adapter = PydanticAIAdapter(scheduler, prices=price)
    of_openai = OpenAIAdapter(scheduler, prices=price).wrap(openai_client(provider))
    of_anthropic = AnthropicAdapter(scheduler, prices=price).wrap(
        anthropic.AsyncAnthropic(base_url=provider.anthropic_url, api_key="any", max_retries=0)
    )
    for model in (
        chat(provider, client=of_openai),
        messages(provider, of_anthropic),
        adapter.model(chat(provider)),
    ):
        assert await ran(Agent(adapter.model(model)), streamed) == TEXT
    await settle_down(schedulers.server, provider)
    assert await granted(scheduler) == len(provider.requests) == 3
    assert await settled(scheduler) == reported(provider)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("above", [False, True])
async def test_fallback_model(
    provider: FakeProvider, schedulers: Schedulers, above: bool, streamed: bool
) -> None:
    """A FallbackModel of scheduled models takes a slot for each attempt; a scheduled FallbackModel
    takes one for all."""
    scheduler = schedulers()
    adapter = PydanticAIAdapter(scheduler, prices=lambda _, usage: usage.total_tokens / 1000)
    first, second = chat(provider), messages(provider)
    if above:
        model: Any = adapter.model(FallbackModel(first, second))
    else:
        model = FallbackModel(adapter.model(first), adapter.model(second))
    provider.script(Reply(status=500))
    assert await ran(Agent(model), streamed) == TEXT
    await settle_down(schedulers.server, provider)
    assert len(provider.requests) == 2
    assert await granted(scheduler) == (1 if above else 2)
    assert (await settled(scheduler))[0] == reported(provider)[0]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("model", [chat, messages])
async def test_back_off(
    provider: FakeProvider, schedulers: Schedulers, model: Any, streamed: bool
) -> None:
    """A 429 holds the fleet for as long as the provider asks."""
    scheduler, seconds = schedulers(), 0.3
    provider.script(Reply(status=429, retry_after=seconds))
    agent = Agent(PydanticAIAdapter(scheduler).model(model(provider)))
    with pytest.raises(ModelHTTPError):
        await ran(agent, streamed)
    scene = Scene(None, scheduler, provider, schedulers.server)
    await scene.snapshot_when(lambda now: 0 < now.paused_for <= seconds and now.held == 0)
    assert await ran(agent, streamed) == TEXT
    assert await granted(scheduler) == 2


@pytest.mark.parametrize("streamed", [False, True])
async def test_refusals(provider: FakeProvider, schedulers: Schedulers, streamed: bool) -> None:
    """What the scheduler raises comes out as it is: no other model is asked instead."""
    scheduler = schedulers(budget=BudgetPolicy(limits={"poor": 0}))
    adapter = PydanticAIAdapter(scheduler, timeout=0.3)
    model = FallbackModel(adapter.model(chat(provider)), adapter.model(messages(provider)))
    with pytest.raises(BudgetExceededError):
        await ran(Agent(model, name="poor"), streamed)
    async with scheduler.acquire("other"):
        with pytest.raises(AcquireTimeoutError):
            # A context of its own is not in the slot of this one.
            await asyncio.create_task(
                ran(Agent(model, name="late"), streamed), context=contextvars.Context()
            )
    assert provider.requests == []


async def test_broken_stream(provider: FakeProvider, schedulers: Schedulers) -> None:
    """A stream that breaks off is the provider's error, and costs what had come."""
    scheduler = schedulers()
    provider.script(Reply(break_after=6))
    agent = Agent(PydanticAIAdapter(scheduler).model(chat(provider)))
    with pytest.raises(Exception, match="incomplete|onnection"):
        await ran(agent, streamed=True)
    await settle_down(schedulers.server, provider)
    assert await granted(scheduler) == 1
    assert (await settled(scheduler))[0] > 0


async def test_downgrade(provider: FakeProvider, schedulers: Schedulers) -> None:
    """Over the budget the cheaper model of the same provider is asked."""
    budget = BudgetPolicy(default_limit=0.5, on_exceeded="downgrade")
    scheduler = schedulers(budget=budget)
    adapter = PydanticAIAdapter(scheduler, prices=price, fallback_models={GPT: NANO})
    provider.default = Reply(billed=Billed(GPT, 100, 0, 0, 100, 0))
    agent = Agent(adapter.model(chat(provider, GPT)))
    for streamed in (False, False, True):
        await ran(agent, streamed)
    assert [request.body["model"] for request in provider.requests] == [GPT, NANO, NANO]
    assert {request.body["max_completion_tokens"] for request in provider.requests} == {64}
    assert set(await scheduler.metrics.attribution.cost_by_model()) == {GPT, NANO}


async def test_model_that_does_not_tell(schedulers: Schedulers) -> None:
    """An answer without usage costs at least its text, by its length."""
    scheduler = schedulers()
    await Agent(PydanticAIAdapter(scheduler).model(Silent())).run("y" * 400)
    assert (await settled(scheduler))[0] == 200


async def test_compaction(schedulers: Schedulers) -> None:
    """To have the history compacted takes a slot; to have its tokens counted does not."""
    scheduler = schedulers()
    model = PydanticAIAdapter(scheduler).model(Silent())
    history: Any = [
        ModelRequest.user_text_prompt(["y" * 400, ImageUrl("https://any/of-unknown-kind")])
    ]
    asked = history, None, ModelRequestParameters()
    await model.count_tokens(*asked)
    assert await granted(scheduler) == 0
    context = ModelRequestContext(
        model=model, messages=history, model_settings=None, model_request_parameters=asked[2]
    )
    await model.compact_messages(context, instructions="Be brief.")
    assert await granted(scheduler) == 1
    assert (await settled(scheduler))[0] > 200
