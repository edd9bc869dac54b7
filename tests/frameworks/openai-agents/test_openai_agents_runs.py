"""Runs of agents: turns, tools, handoffs, names, retries, refusals, money."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import openai
import pytest
from agents import (
    Agent,
    ModelRetrySettings,
    ModelSettings,
    ModelTimeoutError,
    OpenAIChatCompletionsModel,
    OpenAIProvider,
    RunConfig,
    Runner,
    Usage,
    function_tool,
    retry_policies,
    set_tracing_disabled,
)
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call

import loco_redis
from loco_redis import (
    AcquireTimeoutError,
    AsyncLOCOScheduler,
    BudgetExceededError,
    BudgetPolicy,
)
from loco_redis.adapters import OpenAIAdapter
from loco_redis.adapters.openai_agents import OpenAIAgentsAdapter
from loco_redis.testing.fake_provider import Billed, FakeProvider, Reply
from tests.adapters.async_scene import Scene
from tests.adapters.settled import price, reported, settle_down, settled
from tests.schedulers import Schedulers
from tests.waiting import eventually

set_tracing_disabled(True)

TEXT = Reply().text
OPUS, NANO = "gpt-5", "gpt-5-nano"
SETTINGS = ModelSettings(max_tokens=64)


def again(status: int | None = None) -> ModelSettings:
    """Settings by which the runner tries once more: after this status, or after any error."""
    policy = retry_policies.http_status([status]) if status else lambda _: True
    backoff = {"initial_delay": 0.0 if status else 60.0, "jitter": False}
    retry = ModelRetrySettings(max_retries=1, policy=policy, backoff=backoff)
    return ModelSettings(max_tokens=64, retry=retry)


def client_of(provider: FakeProvider) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=provider.openai_url, api_key="any", max_retries=0)


def config(adapter: OpenAIAgentsAdapter, provider: FakeProvider, client: Any = None) -> RunConfig:
    models = OpenAIProvider(openai_client=client or client_of(provider))
    return RunConfig(model_provider=adapter.provider(models))


async def ran(agent: Agent[Any], run_config: RunConfig, streamed: bool) -> str:
    """The run's output."""
    if not streamed:
        return str((await Runner.run(agent, "Hi", run_config=run_config)).final_output)
    result = Runner.run_streamed(agent, "Hi", run_config=run_config)
    async for _ in result.stream_events():
        pass
    return str(result.final_output)


async def granted(scheduler: AsyncLOCOScheduler) -> int:
    return (await scheduler.snapshot()).granted


@pytest.mark.parametrize("streamed", [False, True])
async def test_tools_and_handoffs(schedulers: Schedulers, streamed: bool) -> None:
    """Each turn has a slot, in the name of the agent whose turn it is; tools run without one."""
    scheduler = schedulers()
    adapter = OpenAIAgentsAdapter(scheduler, prices=price)
    held: list[int] = []

    @function_tool
    async def look_up(order: int) -> str:
        held.append((await scheduler.snapshot()).held)
        return f"order {order} is lost"

    used = Usage(requests=1, input_tokens=100, output_tokens=10, total_tokens=110)
    first = ScriptedModel(
        [
            [function_call("look_up", {"order": 7}, call_id="one")],
            [function_call("transfer_to_refunds", {}, call_id="two")],
        ],
        default_usage=used,
    )
    second = ScriptedModel([[assistant_message("It is paid back.")]], default_usage=used)
    refunds = Agent("refunds", model=adapter.model(second))
    triage = Agent("triage", model=adapter.model(first), tools=[look_up], handoffs=[refunds])
    if streamed:
        result: Any = Runner.run_streamed(triage, "Where is my order?")
        async for _ in result.stream_events():
            pass
    else:
        result = await Runner.run(triage, "Where is my order?")
    assert result.final_output == "It is paid back."
    assert held == [0]
    assert await granted(scheduler) == 3
    by_agent = await scheduler.metrics.actual_tokens_by_agent()
    assert by_agent == {"triage": 220, "refunds": 110}


async def test_agents_side_by_side(provider: FakeProvider, schedulers: Schedulers) -> None:
    """Runs of several agents share the capacity, each under its own name."""
    scheduler = schedulers(2)
    provider.default = Reply(delay=0.02)
    run_config = config(OpenAIAgentsAdapter(scheduler, prices=price), provider)
    names = [f"agent {number}" for number in range(6)]
    agents = [Agent(name, model=NANO, model_settings=SETTINGS) for name in names]
    await asyncio.gather(*(Runner.run(agent, "Hi", run_config=run_config) for agent in agents))
    assert provider.peak == 2
    await settle_down(schedulers.server, provider)
    assert await settled(scheduler) == reported(provider)
    assert sorted(await scheduler.metrics.actual_tokens_by_agent()) == names


@pytest.mark.parametrize("tracing_disabled", [False, True])
async def test_names(
    provider: FakeProvider, schedulers: Schedulers, tracing_disabled: bool
) -> None:
    """The context names the agent, else the adapter's options, else the SDK, traced or not."""
    scheduler = schedulers()
    own = config(OpenAIAgentsAdapter(scheduler), provider)
    named = config(OpenAIAgentsAdapter(scheduler, agent_id="of the adapter"), provider)
    own.tracing_disabled = named.tracing_disabled = tracing_disabled
    set_tracing_disabled(False)
    try:
        agent = Agent("own", model=NANO)
        await Runner.run(agent, "Hi", run_config=own)
        await Runner.run(agent, "Hi", run_config=named)
        with loco_redis.agent("of the context"):
            await Runner.run(agent, "Hi", run_config=named)
        await Runner.run(Agent("", model=NANO), "Hi", run_config=own)
    finally:
        set_tracing_disabled(True)
    by_agent = await scheduler.metrics.actual_tokens_by_agent()
    assert sorted(by_agent) == ["default", "of the adapter", "of the context", "own"]


async def test_two_layers(provider: FakeProvider, schedulers: Schedulers) -> None:
    """Over a scheduled client, or over a scheduled model, a request has one slot."""
    scheduler = schedulers()
    adapter = OpenAIAgentsAdapter(scheduler, prices=price)
    client = OpenAIAdapter(scheduler, prices=price).wrap(client_of(provider))
    run_config = config(adapter, provider, client)
    model = adapter.model(adapter.model(OpenAIChatCompletionsModel(NANO, client)))
    for agent in (Agent("a", model=NANO), Agent("b", model=model)):
        await ran(agent, run_config, streamed=False)
        await ran(agent, run_config, streamed=True)
    await settle_down(schedulers.server, provider)
    assert await granted(scheduler) == len(provider.requests) == 4
    assert await settled(scheduler) == reported(provider)


@pytest.mark.parametrize("streamed", [False, True])
async def test_retries(provider: FakeProvider, schedulers: Schedulers, streamed: bool) -> None:
    """Each attempt of the runner has a slot of its own; a 429 holds the fleet meanwhile."""
    scheduler, seconds = schedulers(), 0.3
    run_config = config(OpenAIAgentsAdapter(scheduler, prices=price), provider)
    provider.script(Reply(status=429, retry_after=seconds))
    agent = Agent("a", model=NANO, model_settings=again(429))
    running = asyncio.create_task(ran(agent, run_config, streamed))
    await eventually(lambda: provider.requests)
    await Scene(None, scheduler, provider, schedulers.server).snapshot_when(
        lambda now: 0 < now.paused_for <= seconds and now.held == 0
    )
    assert await running == TEXT
    await settle_down(schedulers.server, provider)
    assert await granted(scheduler) == len(provider.requests) == 2
    assert await settled(scheduler) == reported(provider)


@pytest.mark.parametrize("streamed", [False, True])
async def test_refusals_are_final(
    provider: FakeProvider, schedulers: Schedulers, streamed: bool
) -> None:
    """What the scheduler raises comes out as it is, and no retry policy tries again."""
    scheduler = schedulers(budget=BudgetPolicy(limits={"poor": 0}))
    run_config = config(OpenAIAgentsAdapter(scheduler, timeout=0.3), provider)

    async def run(name: str) -> None:
        await ran(Agent(name, model=NANO, model_settings=again()), run_config, streamed)

    with pytest.raises(BudgetExceededError):
        await run("poor")
    async with scheduler.acquire("other"):
        with pytest.raises(AcquireTimeoutError):
            # A task of its own is not in the slot of this one.
            await asyncio.create_task(run("late"), context=contextvars.Context())
    assert provider.requests == []


@pytest.mark.parametrize("streamed", [False, True])
async def test_timeout_of_the_run(
    provider: FakeProvider, schedulers: Schedulers, streamed: bool
) -> None:
    """The SDK's own timeout, which counts the time in the queue, leaves nothing in it."""
    scheduler = schedulers()
    run_config = config(OpenAIAgentsAdapter(scheduler), provider)
    agent = Agent("a", model=NANO, model_settings=ModelSettings(timeout=0.1))
    other = await scheduler.acquire_start("other")
    with pytest.raises(ModelTimeoutError):
        await ran(agent, run_config, streamed)
    assert (await scheduler.snapshot()).waiting == 0
    await scheduler.release_handle(other)
    assert provider.requests == []


@pytest.mark.parametrize("instance", [False, True])
async def test_downgrade(provider: FakeProvider, schedulers: Schedulers, instance: bool) -> None:
    """Over the budget the cheaper model is asked, of the same provider or by the same client."""
    budget = BudgetPolicy(default_limit=0.5, on_exceeded="downgrade")
    scheduler = schedulers(budget=budget)
    adapter = OpenAIAgentsAdapter(scheduler, prices=price, fallback_models={OPUS: NANO})
    provider.default = Reply(billed=Billed(OPUS, 100, 0, 0, 100, 0))
    client = client_of(provider)
    model: Any = adapter.model(OpenAIChatCompletionsModel(OPUS, client)) if instance else OPUS
    agent = Agent("a", model=model, model_settings=SETTINGS)
    run_config = config(adapter, provider, client)
    for streamed in (False, False, True):
        await ran(agent, run_config, streamed)
    assert [request.body["model"] for request in provider.requests] == [OPUS, NANO, NANO]
    assert set(await scheduler.metrics.attribution.cost_by_model()) == {OPUS, NANO}


async def test_usage_of_chat_streams(provider: FakeProvider, schedulers: Schedulers) -> None:
    """They are asked for their usage unless the caller has said; else the text is counted."""
    scheduler = schedulers()
    adapter = OpenAIAgentsAdapter(scheduler)
    model = adapter.model(OpenAIChatCompletionsModel(NANO, client_of(provider)))
    for include in (None, False):
        agent = Agent("a", model=model, model_settings=ModelSettings(include_usage=include))
        async for _ in Runner.run_streamed(agent, "Hi").stream_events():
            pass
    options = [request.body["stream_options"] for request in provider.requests]
    assert options == [{"include_usage": True}, {"include_usage": False}]
    told = provider.reported[0].total_tokens
    counted = (await settled(scheduler))[0] - told
    assert len(TEXT) // 4 <= counted < told


async def test_model_that_does_not_tell(schedulers: Schedulers) -> None:
    """An answer without usage costs its prompt and its text, by their length."""
    scheduler = schedulers()
    script = ScriptedModel([ModelStep([assistant_message("x" * 400)])])
    await Runner.run(Agent("a", model=OpenAIAgentsAdapter(scheduler).model(script)), "y" * 400)
    assert (await settled(scheduler))[0] == 201  # the role is a text, too
