"""Crews: several agents, tools, threads, event loops."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from crewai import Agent, Crew, Process, Task
from crewai.llms.providers.openai.completion import OpenAICompletion
from crewai.tools import tool

import loco_redis
from loco_redis import BudgetExceededError, BudgetPolicy
from loco_redis.adapters.crewai import CrewAIAdapter
from loco_redis.adapters.crewai._llm import is_scheduled
from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.adapters.settled import price, settle_down, settled
from tests.defaults import Defaults, defaults
from tests.frameworks.crewai.crewai_ways import crew_of, figures, llm_at
from tests.schedulers import Schedulers
from tests.waiting import eventually

__all__ = ["defaults"]

TEXT = Reply().text
ACTION = 'Thought: I look.\nAction: look\nAction Input: {"what": "this"}'
ANSWER = "Thought: I now know the final answer\nFinal Answer: 4"


class TextOnly(OpenAICompletion):
    """A model that has tools by text only."""

    def supports_function_calling(self) -> bool:
        return False


def run_crew(adapter: CrewAIAdapter, crew: Crew) -> Any:
    return adapter.run_crew(crew)


def akickoff(adapter: CrewAIAdapter, crew: Crew) -> Any:
    return adapter.crew(crew).akickoff()


def kickoff_async(adapter: CrewAIAdapter, crew: Crew) -> Any:
    return adapter.crew(crew).kickoff_async()


WAYS = pytest.mark.parametrize("run", [run_crew, akickoff, kickoff_async])


@WAYS
async def test_roles(provider: FakeProvider, schedulers: Schedulers, run: Any) -> None:
    """Each agent calls by its role, in a slot of its own for each call; the loop goes on."""
    scheduler = schedulers()
    await scheduler.snapshot()  # opens it
    llm = llm_at(provider)
    roles = ("senior\n  writer ", "critic")
    crew = crew_of(llm, llm, roles=roles)
    result = await run(CrewAIAdapter(scheduler, prices=price), crew)
    assert result.raw == TEXT
    await settle_down(schedulers.server, provider)
    assert (await scheduler.snapshot()).granted == len(provider.requests) == 2
    assert await settled(scheduler) == figures(provider)
    by_agent = await scheduler.metrics.actual_tokens_by_agent()
    assert set(by_agent) == {"senior writer", "critic"}
    assert not is_scheduled(llm)
    assert crew.agents[0].llm is crew.agents[1].llm
    assert result.token_usage.successful_requests > 0  # CrewAI's own counters go on


async def test_side_by_side(provider: FakeProvider, schedulers: Schedulers) -> None:
    """Of crews and tasks that run at once never more than the capacity are at the provider."""
    scheduler, gate = schedulers(2), threading.Event()
    provider.default = Reply(gate=gate)
    adapter = CrewAIAdapter(scheduler)
    crews = [crew_of(llm_at(provider), llm_at(provider)) for _ in range(3)]
    for crew in crews:
        crew.tasks[0].async_execution = True
    runs = asyncio.gather(*(adapter.run_crew(crew) for crew in crews))
    await eventually(lambda: provider.in_flight == 2)
    gate.set()
    assert [result.raw for result in await runs] == [TEXT] * 3
    assert provider.peak == 2
    assert (await scheduler.snapshot()).granted == 6


@WAYS
async def test_cancelled(provider: FakeProvider, schedulers: Schedulers, run: Any) -> None:
    """What CrewAI runs in threads goes on when its caller is cancelled: the slot is held until the
    call has ended, and it is paid for."""
    scheduler, gate = schedulers(), threading.Event()
    await scheduler.snapshot()  # opens it
    provider.default = Reply(gate=gate)
    crew = crew_of(llm_at(provider))
    running = asyncio.create_task(run(CrewAIAdapter(scheduler, prices=price), crew))
    await eventually(lambda: provider.in_flight == 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (provider.in_flight, (await scheduler.snapshot()).held) == (1, 1)
    gate.set()
    await settle_down(schedulers.server, provider)
    assert await settled(scheduler) == figures(provider)
    await eventually(lambda: "loco_redis.call" not in [each.name for each in threading.enumerate()])


async def test_tools(provider: FakeProvider, schedulers: Schedulers) -> None:
    """They run without a slot; the call that follows takes a new one."""
    scheduler = schedulers()
    held: list[int] = []

    @tool("look")
    def look(what: str) -> str:
        """Looks at it."""
        held.append(schedulers.held())
        return f"It is {what}."

    provider.script(Reply(text=ACTION), Reply(text=ANSWER))
    made: dict[str, Any] = {"base_url": provider.openai_url, "api_key": "any"}
    crew = crew_of(TextOnly(model="gpt-5-nano", **made), tools=[look])
    assert (await CrewAIAdapter(scheduler).run_crew(crew)).raw == "4"
    assert held == [0]
    assert (await scheduler.snapshot()).granted == len(provider.requests) == 2


async def test_refusals(provider: FakeProvider, schedulers: Schedulers) -> None:
    """They come out of a crew as they are, after as many goes as the agent makes for any error."""
    scheduler = schedulers(budget=BudgetPolicy(limits={"writer": 0}))
    crew = crew_of(llm_at(provider))
    crew.agents[0].max_retry_limit = 1
    with pytest.raises(BudgetExceededError):
        await CrewAIAdapter(scheduler).run_crew(crew)
    assert crew.agents[0]._times_executed == 2
    assert provider.requests == []


async def test_context(provider: FakeProvider, schedulers: Schedulers) -> None:
    """The caller's agent and slot are known in CrewAI's threads."""
    scheduler = schedulers()
    adapter = CrewAIAdapter(scheduler)
    with loco_redis.agent("the caller"):
        await adapter.run_crew(crew_of(llm_at(provider)))
    async with scheduler.acquire("the program"):
        await adapter.run_crew(crew_of(llm_at(provider)))
    assert (await scheduler.snapshot()).granted == 2
    by_agent = await scheduler.metrics.actual_tokens_by_agent()
    assert set(by_agent) == {"the caller", "writer"}


async def test_manager(provider: FakeProvider, schedulers: Schedulers) -> None:
    """A crew's manager is scheduled, too."""
    scheduler = schedulers()
    worker = Agent(role="worker", goal="Work.", backstory="None.", llm=llm_at(provider))
    task = Task(description="Say it.", expected_output="A word.")
    crew = Crew(
        agents=[worker], tasks=[task], process=Process.hierarchical, manager_llm=llm_at(provider)
    )
    adapter = CrewAIAdapter(scheduler)
    assert (await adapter.run_crew(crew)).raw == TEXT
    assert is_scheduled(crew.manager_llm)
    assert (await scheduler.snapshot()).granted == len(provider.requests)


async def test_configured(provider: FakeProvider, defaults: Defaults) -> None:
    """Without a scheduler a crew is awaited in an event loop, and not elsewhere."""
    defaults.configure(1)
    adapter = CrewAIAdapter()
    assert (await adapter.run_crew(crew_of(llm_at(provider)))).raw == TEXT
    plain = await asyncio.to_thread(adapter.run_crew, crew_of(llm_at(provider)))
    assert plain.raw == TEXT
    assert defaults.released() == 2
