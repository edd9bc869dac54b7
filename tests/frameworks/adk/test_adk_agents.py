"""Agents with a scheduled model, run by ADK: tools, errors, several at once, and who calls."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from google.adk.agents import LlmAgent, ParallelAgent
from google.adk.models import LlmResponse
from google.adk.tools.agent_tool import AgentTool
from google.genai import errors

import loco_redis
from loco_redis import AsyncLOCOScheduler, BudgetExceededError, BudgetPolicy
from loco_redis.adapters.adk import ADKAdapter
from loco_redis.testing.fake_provider import Billed, FakeProvider, Reply
from tests.adapters.asks import Gemini
from tests.adapters.async_scene import Scene
from tests.adapters.settled import price
from tests.frameworks.adk.runs import Scripted, calling, events, gemini, run, said
from tests.schedulers import Schedulers
from tests.waiting import eventually

TEXT = Reply().text


def writer(model: Any, name: str = "writer", **more: Any) -> LlmAgent:
    return LlmAgent(name=name, model=model, **more)


def scene_of(
    scheduler: AsyncLOCOScheduler, provider: FakeProvider, schedulers: Schedulers
) -> Scene:
    return Scene(None, scheduler, provider, schedulers.server)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_run(schedulers: Schedulers, provider: FakeProvider, streamed: bool) -> None:
    """One slot for a call, settled at what the provider says, for ADK's own name of the agent."""
    scheduler = schedulers()
    adapter = ADKAdapter(scheduler, prices=price)
    assert await run(writer(adapter.model(gemini())), streamed=streamed) == [TEXT]
    await scene_of(scheduler, provider, schedulers).settled(slots=1)
    tokens = await scheduler.metrics.actual_tokens_by_agent()
    assert tokens == {"writer": provider.reported[0].total_tokens}


async def test_who_calls(schedulers: Schedulers, provider: FakeProvider) -> None:
    """The context, then the model's agent id, then the adapter's, then the agent's name in ADK."""
    scheduler = schedulers()
    model = gemini()
    named = ADKAdapter(scheduler, agent_id="of the adapter")
    with loco_redis.agent("of the context"):
        await run(writer(named.model(model, agent_id="of the model")))
    await run(writer(named.model(model, agent_id="of the model")))
    await run(writer(named.model(model)))
    await run(writer(ADKAdapter(scheduler).model(model)))
    tokens = await scheduler.metrics.actual_tokens_by_agent()
    assert set(tokens) == {"of the context", "of the model", "of the adapter", "writer"}


async def test_side_by_side(schedulers: Schedulers, provider: FakeProvider) -> None:
    """Agents that run in parallel share the slots."""
    scheduler, gate = schedulers(capacity=2), threading.Event()
    provider.default = Reply(gate=gate)
    model = ADKAdapter(scheduler, prices=price).model(gemini())
    names = [f"writer_{index}" for index in range(5)]
    agents = [writer(model, name) for name in names]
    running = asyncio.create_task(run(ParallelAgent(name="all_of_them", sub_agents=agents)))
    scene = scene_of(scheduler, provider, schedulers)
    await scene.snapshot_when(lambda now: now.held == 2 and now.waiting == 3)
    await eventually(lambda: provider.in_flight == 2)
    gate.set()
    assert await running == [TEXT] * 5
    assert provider.peak == 2
    await scene.settled(slots=5)
    assert sorted(await scheduler.metrics.actual_tokens_by_agent()) == names


async def test_two_runs_of_one_agent(schedulers: Schedulers, provider: FakeProvider) -> None:
    """Each of their calls has a slot of its own."""
    scheduler = schedulers()
    agent = writer(ADKAdapter(scheduler, prices=price).model(gemini()))
    answers = await asyncio.gather(*(run(agent, streamed=bool(each % 2)) for each in range(6)))
    assert answers == [[TEXT]] * 6
    assert provider.peak == 1
    await scene_of(scheduler, provider, schedulers).settled(slots=6)


async def test_tools_run_without_the_slot(schedulers: Schedulers, provider: FakeProvider) -> None:
    """Also a tool that is an agent, with the only slot there is. ADK runs tools before it asks the
    model's answer for its end."""
    scheduler = schedulers()
    adapter = ADKAdapter(scheduler)
    held: list[int] = []

    async def look_up(word: str) -> str:
        """Looks a word up."""
        held.append((await scheduler.snapshot()).held)
        return "found"

    helper = writer(adapter.model(gemini()), "helper", description="Helps.")
    answers = [[calling("look_up", word="a")], [calling("helper", request="b")], [said("Done.")]]
    model = adapter.model(Scripted(answers=answers))
    agent = writer(model, tools=[look_up, AgentTool(helper)])
    assert await asyncio.wait_for(run(agent), 10) == ["Done."]
    assert held == [0]
    assert (await scheduler.snapshot()).granted == 4
    tokens = await scheduler.metrics.actual_tokens_by_agent()
    assert tokens == {"writer": 3 * 48, "helper": provider.reported[0].total_tokens}


async def test_an_error(schedulers: Schedulers, provider: FakeProvider) -> None:
    """It comes as without a scheduler, and `on_model_error_callback` may answer instead."""
    scheduler = schedulers()
    model = ADKAdapter(scheduler, prices=price).model(gemini())
    provider.script(*[Reply(status=500)] * 2)
    with pytest.raises(errors.ServerError):
        await run(writer(model))

    async def answer(**_: Any) -> LlmResponse:
        return said("Sorry.")

    assert await run(writer(model, on_model_error_callback=answer)) == ["Sorry."]
    assert await scene_of(scheduler, provider, schedulers).released(slots=2) == (0, 0.0)


@pytest.mark.parametrize("streamed", [False, True])
async def test_too_many_requests(
    schedulers: Schedulers, provider: FakeProvider, streamed: bool
) -> None:
    """A 429 holds the fleet for as long as the provider asks."""
    scheduler = schedulers()
    provider.script(Reply(status=429, retry_after=30))
    model = ADKAdapter(scheduler).model(gemini())
    with pytest.raises(errors.ClientError):
        await run(writer(model), streamed=streamed)
    scene = scene_of(scheduler, provider, schedulers)
    now = await scene.snapshot_when(lambda now: now.paused_for > 0 and now.held == 0)
    assert 20 < now.paused_for <= 30


async def test_a_cancelled_run(schedulers: Schedulers, provider: FakeProvider) -> None:
    """The slot is free, and the provider is left."""
    scheduler = schedulers()
    provider.script(Reply(gate=threading.Event()))
    agent = writer(ADKAdapter(scheduler).model(gemini()))
    running = asyncio.create_task(run(agent))
    await eventually(lambda: provider.in_flight == 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await scene_of(scheduler, provider, schedulers).released(slots=1)
    assert provider.disconnects == 1


@pytest.mark.parametrize("closed", [True, False])
async def test_a_run_left_early(
    schedulers: Schedulers, provider: FakeProvider, closed: bool
) -> None:
    """After some of a streamed answer, by `aclose` or just dropped."""
    scheduler = schedulers()
    provider.script(Reply(gate=threading.Event(), gate_after=6))
    running = events(writer(ADKAdapter(scheduler).model(gemini())), streamed=True)
    assert (await anext(running)).partial
    assert (await scheduler.snapshot()).held == 1
    if closed:
        await running.aclose()
    del running
    scene = scene_of(scheduler, provider, schedulers)
    await scene.collected()
    tokens, _ = await scene.released(slots=1)
    assert tokens > 0


async def test_over_the_budget(schedulers: Schedulers, provider: FakeProvider) -> None:
    """A refusal ends the run before anything is sent, or is answered by a callback."""
    scheduler = schedulers(budget=BudgetPolicy(limits={"writer": 0}))
    model = ADKAdapter(scheduler).model(gemini())
    with pytest.raises(BudgetExceededError):
        await run(writer(model))
    seen: list[Exception] = []

    async def answer(error: Exception, **_: Any) -> LlmResponse:
        seen.append(error)
        return said("No money.")

    assert await run(writer(model, on_model_error_callback=answer)) == ["No money."]
    assert [type(error) for error in seen] == [BudgetExceededError]
    assert provider.requests == []
    await scene_of(scheduler, provider, schedulers).released(slots=0)


async def test_a_cheaper_model(schedulers: Schedulers, provider: FakeProvider) -> None:
    """Over the budget the request goes to the cheaper model, and is paid as such."""
    scheduler = schedulers(budget=BudgetPolicy(default_limit=5.5, on_exceeded="downgrade"))
    cheaper = "gemini-2.5-flash-lite"
    provider.default = Reply(billed=Billed("", 100, 0, 0, 100, 0))
    adapter = ADKAdapter(scheduler, prices=price, fallback_models={Gemini.model: cheaper})
    agent = writer(adapter.model(gemini()))
    for _ in range(2):
        await run(agent)
    models = [request.path.split("/")[-1].split(":")[0] for request in provider.requests]
    assert models == [Gemini.model, cheaper]
    assert set(await scheduler.metrics.attribution.cost_by_model()) == {Gemini.model, cheaper}


async def test_torn_after_the_answer(schedulers: Schedulers, provider: FakeProvider) -> None:
    """An answer that is whole is handed on although an error follows it."""
    scheduler = schedulers()
    parts = [said("He", partial=True), said("Hello"), ValueError("torn")]
    model = ADKAdapter(scheduler).model(Scripted(answers=[parts]))
    seen: list[str] = []

    async def read() -> None:
        async for event in events(writer(model), streamed=True):
            seen.extend(part.text for part in (event.content.parts if event.content else ()))

    with pytest.raises(ValueError, match="torn"):
        await read()
    assert seen == ["He", "Hello"]
    tokens, _ = await scene_of(scheduler, provider, schedulers).released(slots=1)
    assert tokens == 48
