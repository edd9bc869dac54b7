"""The adapter as an object, and the limiter: what they take, forward, and say."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import Any

import openai
import pytest
from pydantic_ai import Agent
from pydantic_ai.models.concurrency import ConcurrencyLimitedModel
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.providers.openai import OpenAIProvider

from loco_redis import AcquireTimeoutError, LOCOScheduler, SharedResource
from loco_redis.adapters.pydantic_ai import LOCOConcurrencyLimiter, PydanticAIAdapter
from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.schedulers import Schedulers
from tests.waiting import eventually

TEXT = Reply().text


def chat(provider: FakeProvider, name: str = "gpt-5-nano") -> OpenAIChatModel:
    client = openai.AsyncOpenAI(base_url=provider.openai_url, api_key="any", max_retries=0)
    return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=client))


def test_is_a_model(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """It passes for the model that it is made of, which may also be named."""
    inner = chat(provider)
    model = PydanticAIAdapter().model(inner)
    assert isinstance(model, WrapperModel)
    assert (model.wrapped, model.model_id) == (inner, inner.model_id)
    assert (model.client, model.profile) == (inner.client, inner.profile)
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    assert PydanticAIAdapter().model("openai-chat:gpt-5").model_name == "gpt-5"


def test_bad_arguments(provider: FakeProvider) -> None:
    blocking = LOCOScheduler((), SharedResource("llm", 1), redis="redis://127.0.0.1:1")
    adapter = PydanticAIAdapter(fallback_models={"gpt-5": "gpt-5-nano"})
    assert repr(adapter) == "<PydanticAIAdapter of the configured scheduler>"
    wrapped = WrapperModel(chat(provider, "gpt-5"))
    cases: list[tuple[Any, str]] = [
        (lambda: PydanticAIAdapter(blocking), "an async client needs an AsyncLOCOScheduler"),
        (lambda: PydanticAIAdapter(weight=-1), "weight"),
        (lambda: adapter.model(3), "model must be a Model or a name, got 3"),
        (lambda: adapter.model(wrapped), "no WrapperModel can be made of it"),
        (lambda: LOCOConcurrencyLimiter(blocking), "an async client needs an AsyncLOCOScheduler"),
        (lambda: LOCOConcurrencyLimiter(agent_id=""), "agent id"),
        (lambda: LOCOConcurrencyLimiter(weight=0), "weight"),
        (lambda: LOCOConcurrencyLimiter(timeout=-1), "timeout"),
    ]
    for make, says in cases:
        with pytest.raises(ValueError, match=says):
            make()
    adapter.model(FallbackModel(chat(provider, "gpt-5"), TestModel()))  # has another name


def test_missing_package() -> None:
    """Without the package the module says how to install it."""
    program = (
        "import sys; sys.modules['pydantic_ai'] = None; import loco_redis.adapters.pydantic_ai"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stderr.rstrip().endswith(
        "ModuleNotFoundError: pydantic_ai is not installed: pip install 'loco-redis[pydantic-ai]'"
    )


class TestLimiter:
    async def test_agents(self, provider: FakeProvider, schedulers: Schedulers) -> None:
        """Whole runs have a slot each."""
        scheduler, gate = schedulers(2), threading.Event()
        provider.default = Reply(gate=gate)
        limiter = LOCOConcurrencyLimiter(scheduler, agent_id="batch", weight=2)
        agent = Agent(chat(provider), max_concurrency=limiter)
        runs = [asyncio.create_task(agent.run("Hi")) for _ in range(5)]
        await eventually(lambda: provider.in_flight == 2)
        now = await scheduler.snapshot()
        assert (now.held, now.waiting) == (2, 3)
        assert repr(limiter) == "<LOCOConcurrencyLimiter of 'batch' held=2>"
        runs[0].cancel()
        gate.set()
        done = await asyncio.gather(*runs, return_exceptions=True)
        assert [isinstance(result, BaseException) for result in done] == [True] + [False] * 4
        await eventually(lambda: schedulers.held() == 0)
        assert provider.peak == 2

    async def test_models(self, provider: FakeProvider, schedulers: Schedulers) -> None:
        """Requests have one each; a stream until its block is left."""
        scheduler = schedulers(1)
        limiter = LOCOConcurrencyLimiter(scheduler)
        agent = Agent(ConcurrencyLimitedModel(chat(provider), limiter))
        assert (await agent.run("Hi")).output == TEXT
        async with agent.run_stream("Hi") as result:
            assert await result.get_output() == TEXT
        await eventually(lambda: schedulers.held() == 0)
        assert (await scheduler.snapshot()).granted == 2
        provider.script(Reply(status=500))
        with pytest.raises(Exception, match="500"):
            await agent.run("Hi")
        await eventually(lambda: schedulers.held() == 0)

    async def test_refusal(self, schedulers: Schedulers) -> None:
        """A slot that does not come in time is an error; nothing is held or given back."""
        scheduler = schedulers(1)
        limiter = LOCOConcurrencyLimiter(scheduler, timeout=0.3)
        await limiter.acquire("here")
        with pytest.raises(AcquireTimeoutError):
            await Agent(TestModel(), max_concurrency=limiter).run("Hi")
        limiter.release()
        await eventually(lambda: schedulers.held() == 0)
        with pytest.raises(RuntimeError, match="holds no slot"):
            limiter.release()

    async def test_release_in_another_task(self, schedulers: Schedulers) -> None:
        """As PydanticAI asks of a limiter."""
        limiter = LOCOConcurrencyLimiter(schedulers(1))
        await asyncio.create_task(limiter.acquire("here"))
        await asyncio.to_thread(limiter.release)
        await eventually(lambda: schedulers.held() == 0)

    async def test_closed_scheduler(self, schedulers: Schedulers) -> None:
        """What is given back too late has been given back already."""
        scheduler = schedulers(1)
        limiter = LOCOConcurrencyLimiter(scheduler)
        await limiter.acquire("here")
        await scheduler.aclose()
        limiter.release()
        await eventually(lambda: not limiter._releasing)
