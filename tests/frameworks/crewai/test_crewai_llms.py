"""Scheduled LLMs: what they are, what they take, and what they cost."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import Any

import httpx
import pytest
from crewai import BaseLLM
from crewai.llms import retry
from crewai.llms.providers.openai.completion import OpenAICompletion

from loco_redis import BudgetExceededError, BudgetPolicy
from loco_redis.adapters.crewai import CrewAIAdapter
from loco_redis.testing.fake_provider import Billed, FakeProvider, Reply
from tests.adapters.asks import QUESTION
from tests.adapters.async_scene import Scene
from tests.adapters.settled import price, settle_down, settled
from tests.defaults import Defaults, defaults
from tests.frameworks.crewai.crewai_ways import crew_of, figures, llm_at
from tests.schedulers import Schedulers
from tests.waiting import eventually

__all__ = ["defaults"]

TEXT = Reply().text


class Silent(BaseLLM):
    """A user's own, which tells nothing of usage, and has no async call."""

    def call(self, messages: Any, *args: Any, **more: Any) -> str:
        return "y" * 400


class Nesting(BaseLLM):
    """One that runs a tool inside of its call."""

    inner: Any = None

    def call(self, messages: Any, *args: Any, **more: Any) -> str:
        self._track_token_usage_internal({"prompt_tokens": 10, "completion_tokens": 1})
        return str(self.inner.call(messages))


def test_is_an_llm(provider: FakeProvider) -> None:
    """A copy that passes for the one that it is made of, and shares its counters."""
    llm = llm_at(provider)
    scheduled = CrewAIAdapter().llm(llm)
    assert isinstance(scheduled, OpenAICompletion)
    assert type(scheduled).__name__ == "OpenAICompletion"
    assert type(llm) is OpenAICompletion
    assert scheduled.model_dump() == llm.model_dump()
    assert scheduled._token_usage is llm._token_usage
    named = CrewAIAdapter().llm("openai/gpt-5-nano")
    assert (named.model, named.provider) == ("gpt-5-nano", "openai")


def test_bad_arguments(provider: FakeProvider) -> None:
    adapter = CrewAIAdapter()
    assert repr(adapter) == "<CrewAIAdapter of the configured scheduler>"
    cases: list[tuple[Any, str]] = [
        (lambda: CrewAIAdapter(3), "scheduler must be"),  # type: ignore[arg-type]
        (lambda: CrewAIAdapter(weight=-1), "weight"),
        (lambda: adapter.llm(3), "llm must be a BaseLLM or a model's name, got 3"),
        (lambda: adapter.llm(llm_at(provider), agent_id=""), "agent id"),
        (lambda: adapter.crew(3), "crew must be a Crew, got 3"),
        (lambda: adapter.run_crew(3), "crew must be a Crew, got 3"),
    ]
    for make, says in cases:
        with pytest.raises(ValueError, match=says):
            make()


def test_missing_package() -> None:
    """Without the package the module says how to install it."""
    program = "import sys; sys.modules['crewai'] = None; import loco_redis.adapters.crewai"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "is not installed: pip install 'loco-redis[crewai]'" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("is_async", [False, True])
async def test_retries(
    provider: FakeProvider,
    schedulers: Schedulers,
    monkeypatch: pytest.MonkeyPatch,
    is_async: bool,
) -> None:
    """CrewAI's own, of 429s, have a slot each, and wait without one; a 429 holds the fleet for as
    long as the provider asks."""
    monkeypatch.setattr(retry, "get_retry_delay_seconds", lambda **_: 0.0)
    scheduler, seconds = schedulers(), 0.3
    await scheduler.snapshot()  # opens it
    provider.script(Reply(status=429, retry_after=seconds), Reply(status=429, retry_after=0.05))
    llm = CrewAIAdapter(scheduler, prices=price).llm(llm_at(provider))
    calling = llm.acall(QUESTION) if is_async else asyncio.to_thread(llm.call, QUESTION)
    answer = asyncio.create_task(calling)
    scene = Scene(None, scheduler, provider, schedulers.server)
    await scene.snapshot_when(lambda now: 0 < now.paused_for <= seconds and now.held == 0)
    assert await answer == TEXT
    await settle_down(schedulers.server, provider)
    assert (await scheduler.snapshot()).granted == len(provider.requests) == 3
    assert await settled(scheduler) == figures(provider)


async def test_refusal(provider: FakeProvider, schedulers: Schedulers) -> None:
    """It is raised as it is, and CrewAI does not take it for a 429."""
    scheduler = schedulers(budget=BudgetPolicy(limits={"poor": 0}))
    llm = CrewAIAdapter(scheduler).llm(llm_at(provider), agent_id="poor")
    with pytest.raises(BudgetExceededError):
        await llm.acall(QUESTION)
    assert provider.requests == []


async def test_agents(provider: FakeProvider, schedulers: Schedulers) -> None:
    """An LLM may be one agent's."""
    scheduler = schedulers()
    adapter = CrewAIAdapter(scheduler, agent_id="all")
    for llm in (adapter.llm(llm_at(provider)), adapter.llm(llm_at(provider), agent_id="one")):
        await llm.acall(QUESTION)
    assert set(await scheduler.metrics.actual_tokens_by_agent()) == {"all", "one"}


async def test_scheduled_twice(provider: FakeProvider, schedulers: Schedulers) -> None:
    """The second schedule takes the place of the first; a crew keeps what is scheduled."""
    scheduler = schedulers()
    adapter = CrewAIAdapter(scheduler, prices=price)
    llm = adapter.llm(adapter.llm(llm_at(provider)), agent_id="second")
    await llm.acall(QUESTION)
    crew = adapter.crew(crew_of(llm))
    assert crew.agents[0].llm is llm
    await adapter.run_crew(crew)
    await settle_down(schedulers.server, provider)
    assert (await scheduler.snapshot()).granted == len(provider.requests) == 2
    assert await settled(scheduler) == figures(provider)
    assert set(await scheduler.metrics.actual_tokens_by_agent()) == {"second"}


async def test_tool_in_a_call(provider: FakeProvider, schedulers: Schedulers) -> None:
    """What is called inside of a call is in its slot, and on its bill."""
    scheduler = schedulers()
    await scheduler.snapshot()
    adapter = CrewAIAdapter(scheduler)
    outer = adapter.llm(Nesting(model="mine", inner=adapter.llm(llm_at(provider))))
    assert await asyncio.to_thread(outer.call, QUESTION) == TEXT
    await settle_down(schedulers.server, provider)
    assert (await scheduler.snapshot()).granted == 1
    assert (await settled(scheduler))[0] == figures(provider)[0] + 11


async def test_llm_that_does_not_tell(schedulers: Schedulers) -> None:
    """It costs at least its text, by its length."""
    scheduler = schedulers()
    await scheduler.snapshot()
    llm = CrewAIAdapter(scheduler).llm(Silent(model="mine"))
    await asyncio.to_thread(llm.call, "y" * 400)
    assert (await settled(scheduler))[0] == 200


async def test_broken_stream(provider: FakeProvider, schedulers: Schedulers) -> None:
    """A stream that breaks off is the provider's error, and costs what had come."""
    scheduler = schedulers()
    provider.script(Reply(break_after=6))
    llm = CrewAIAdapter(scheduler).llm(llm_at(provider, stream=True))
    with pytest.raises(httpx.RemoteProtocolError):
        await llm.acall(QUESTION)
    await settle_down(schedulers.server, provider)
    assert (await settled(scheduler))[0] > 0


@pytest.mark.parametrize("is_async", [False, True])
async def test_downgrade(provider: FakeProvider, schedulers: Schedulers, is_async: bool) -> None:
    """Over the budget the cheaper model is asked, by the same LLM."""
    budget = BudgetPolicy(default_limit=0.5, on_exceeded="downgrade")
    scheduler = schedulers(budget=budget)
    await scheduler.snapshot()
    fallbacks = {"gpt-4o": "gpt-5-nano"}
    adapter = CrewAIAdapter(scheduler, prices=price, fallback_models=fallbacks)
    provider.default = Reply(billed=Billed("gpt-4o", 100, 0, 0, 100, 0))
    llm = adapter.llm(llm_at(provider, "openai/gpt-4o", stop=["END"]))
    for _ in range(2):
        if is_async:
            await llm.acall(QUESTION)
        else:
            await asyncio.to_thread(llm.call, QUESTION)
    models = [request.body["model"] for request in provider.requests]
    assert models == ["gpt-4o", "gpt-5-nano"]
    assert (llm.model, llm.is_gpt4_model) == ("gpt-4o", True)
    assert set(await scheduler.metrics.attribution.cost_by_model()) == set(models)
    await settle_down(schedulers.server, provider)
    assert await settled(scheduler) == figures(provider)


async def test_configured(provider: FakeProvider, defaults: Defaults) -> None:
    """Without a scheduler the configured ones are used, of both kinds."""
    defaults.configure(1)
    llm = CrewAIAdapter().llm(llm_at(provider))
    await llm.acall(QUESTION)
    await asyncio.to_thread(llm.call, QUESTION)
    assert defaults.released() == 2


async def test_many_threads(provider: FakeProvider, schedulers: Schedulers) -> None:
    """Of calls in threads and in the loop never more than the capacity are at the provider."""
    scheduler, gate = schedulers(3), threading.Event()
    await scheduler.snapshot()
    provider.default = Reply(gate=gate)
    llm = CrewAIAdapter(scheduler).llm(llm_at(provider, "openai/gpt-5"))
    calls = [asyncio.to_thread(llm.call, QUESTION) for _ in range(4)]
    calls += [llm.acall(QUESTION) for _ in range(4)]
    answers = asyncio.gather(*calls)
    await eventually(lambda: provider.in_flight == 3)
    gate.set()
    assert await answers == [TEXT] * 8
    assert provider.peak == 3
