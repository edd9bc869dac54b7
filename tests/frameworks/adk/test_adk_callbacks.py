"""The callbacks: a slot between them, and an end of it that does not depend on ADK."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from google.adk.agents import LlmAgent, ParallelAgent
from google.adk.tools.agent_tool import AgentTool
from google.genai import errors

import loco_redis
from loco_redis import BudgetExceededError, BudgetPolicy
from loco_redis.adapters.adk import ADKAdapter
from loco_redis.adapters.adk._callbacks import _open
from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.adapters.async_scene import Scene
from tests.adapters.settled import price
from tests.frameworks.adk.runs import Scripted, asked, calling, events, gemini, run, said
from tests.schedulers import Schedulers
from tests.waiting import eventually

TEXT = Reply().text


class Scenery:
    """A scheduler with one slot, its adapter, and agents with the adapter's callbacks."""

    def __init__(self, schedulers: Schedulers, provider: FakeProvider) -> None:
        self.schedulers, self.provider = schedulers, provider

    def __call__(self, capacity: int = 1, budget: Any = None, **options: Any) -> Scene:
        more = {"budget": budget} if budget is not None else {}
        scheduler = self.schedulers(capacity, **more)
        self.adapter = ADKAdapter(scheduler, prices=price, **options)
        return Scene(None, scheduler, self.provider, self.schedulers.server)

    def agent(self, model: Any = None, name: str = "writer", **more: Any) -> LlmAgent:
        return LlmAgent(
            name=name,
            model=model if model is not None else gemini(),
            before_model_callback=self.adapter.before_model_callback,
            after_model_callback=self.adapter.after_model_callback,
            on_model_error_callback=self.adapter.on_model_error_callback,
            **more,
        )


@pytest.fixture
def scenery(schedulers: Schedulers, provider: FakeProvider) -> Scenery:
    return Scenery(schedulers, provider)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_run(scenery: Scenery, streamed: bool) -> None:
    """A slot for a call, settled at what the provider says, for ADK's own name of the agent."""
    scene = scenery()
    agent = scenery.agent()
    assert await run(agent, streamed=streamed) == [TEXT]
    with loco_redis.agent("of the context"):
        assert await run(agent, streamed=streamed) == [TEXT]
    await scene.settled(slots=2)
    tokens = await scene.scheduler.metrics.actual_tokens_by_agent()
    assert set(tokens) == {"writer", "of the context"}
    assert not _open


@pytest.mark.parametrize("streamed", [False, True])
async def test_side_by_side(scenery: Scenery, streamed: bool) -> None:
    """Agents that run in parallel, and runs of one agent, keep to the capacity."""
    scene, gate = scenery(capacity=2), threading.Event()
    scenery.provider.default = Reply(gate=gate)
    agents = [scenery.agent(name=f"writer_{index}") for index in range(3)]
    together = ParallelAgent(name="all_of_them", sub_agents=agents)
    running = [asyncio.create_task(run(together, streamed=streamed)) for _ in range(2)]
    await scene.snapshot_when(lambda now: now.held == 2 and now.waiting == 4)
    await eventually(lambda: scenery.provider.in_flight == 2)
    gate.set()
    assert await asyncio.gather(*running) == [[TEXT] * 3] * 2
    assert scenery.provider.peak == 2
    await scene.settled(slots=6)


async def test_tools(scenery: Scenery) -> None:
    """They run without the slot, also those that are agents."""
    scene = scenery()
    helper = scenery.agent(name="helper", description="Helps.")
    model = Scripted(answers=[[calling("helper", request="a")], [said("Done.")]])
    agent = scenery.agent(model, tools=[AgentTool(helper)])
    assert await asyncio.wait_for(run(agent), 10) == ["Done."]
    await scene.released(slots=3)


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_error(scenery: Scenery, streamed: bool) -> None:
    """It comes as it is; the slot is given back, and a 429 holds the fleet."""
    scene = scenery()
    scenery.provider.script(Reply(status=500), Reply(status=429, retry_after=30))
    for _ in range(2):
        with pytest.raises(errors.APIError):
            await run(scenery.agent(), streamed=streamed)
        await scene.snapshot_when(lambda now: now.held == 0)
    assert (await scene.scheduler.snapshot()).paused_for > 20
    assert await scene.released(slots=2) == (0, 0.0)


async def test_a_cancelled_run(scenery: Scenery) -> None:
    """ADK calls nobody; the slot ends with the run's task."""
    scene = scenery()
    scenery.provider.script(Reply(gate=threading.Event()))
    running = asyncio.create_task(run(scenery.agent()))
    await eventually(lambda: scenery.provider.in_flight == 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await scene.released(slots=1) == (0, 0.0)
    assert not _open


@pytest.mark.parametrize("closed", [True, False])
async def test_a_run_left_early(scenery: Scenery, closed: bool) -> None:
    """The same of a run that is closed, or dropped, in the middle of a stream."""
    scene = scenery()
    scenery.provider.script(Reply(gate=threading.Event(), gate_after=6))
    running = events(scenery.agent(), streamed=True)
    assert (await anext(running)).partial
    assert (await scene.scheduler.snapshot()).held == 1
    if closed:
        await running.aclose()
    del running
    await scene.collected()
    tokens, _ = await scene.released(slots=1)
    assert tokens > 0
    assert not _open


class Context:
    """What the callbacks look at."""

    agent_name = "writer"


async def test_the_end_in_one_task(scenery: Scenery) -> None:
    """A call of whose end nobody tells is ended by the next call of its task."""
    scene = scenery()
    for _ in range(3):
        await scenery.adapter.before_model_callback(Context(), asked())
    assert (await scene.scheduler.snapshot()).held == 1
    await scenery.adapter.after_model_callback(Context(), said("a"))
    tokens, _ = await scene.released(slots=3)
    assert tokens == 48


async def test_the_longest_call(scenery: Scenery) -> None:
    """After so many seconds the slot is given back whatever happens; what is told then is late."""
    scene = scenery(longest_call=0.05)
    await scenery.adapter.before_model_callback(Context(), asked())
    await scene.snapshot_when(lambda now: now.held == 0)
    await scenery.adapter.after_model_callback(Context(), said("a"))
    await scenery.adapter.on_model_error_callback(Context(), asked(), ValueError())
    assert await scene.released(slots=1) == (0, 0.0)


async def test_over_the_budget(scenery: Scenery) -> None:
    """A refusal is raised before anything is sent."""
    scene = scenery(budget=BudgetPolicy(limits={"writer": 0}))
    with pytest.raises(BudgetExceededError):
        await run(scenery.agent())
    await scene.released(slots=0)
    assert scenery.provider.requests == []


async def test_callbacks_and_a_scheduled_model(scenery: Scenery) -> None:
    """Of both the model schedules the call: the callbacks' slot is given back before."""
    scene = scenery()
    agent = scenery.agent(scenery.adapter.model(gemini()))
    assert await asyncio.wait_for(run(agent), 10) == [TEXT]
    await scene.settled(slots=2)


async def test_answered_by_another_callback(scenery: Scenery) -> None:
    """ADK tells nobody of such an answer: the slot ends with the run, at the latest."""

    async def known(**_: Any) -> Any:
        return said("Known.")

    scene = scenery()
    agent = scenery.agent()
    agent.before_model_callback = [scenery.adapter.before_model_callback, known]
    assert await run(agent) == ["Known."]
    assert await scene.released(slots=1) == (0, 0.0)
    assert scenery.provider.requests == []


async def test_the_plugin(scenery: Scenery) -> None:
    """One for all agents of a runner; ADK wraps what a plugin raises."""
    scene = scenery(budget=BudgetPolicy(limits={"poor": 0}))
    plugins = (scenery.adapter.plugin(),)
    rich, poor = (LlmAgent(name=name, model=gemini()) for name in ("rich", "poor"))
    assert await run(rich, plugins=plugins) == [TEXT]
    with pytest.raises(RuntimeError) as caught:
        await run(poor, plugins=plugins)
    assert isinstance(caught.value.__cause__, BudgetExceededError)
    scenery.provider.script(Reply(status=500))
    with pytest.raises(errors.ServerError):
        await run(rich, plugins=plugins)
    tokens, _ = await scene.released(slots=2)
    assert tokens == scenery.provider.reported[0].total_tokens
