"""LiteLLM's functions: what they take, what they cost, and what they pass on."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import litellm
import pytest

from loco_redis import BudgetPolicy
from loco_redis.adapters.litellm import LiteLLMAdapter
from loco_redis.testing.fake_provider import Billed, FakeProvider, Reply
from tests.adapters.async_scene import Scene
from tests.adapters.settled import price, reported, settle_down, settled
from tests.defaults import Defaults, defaults
from tests.frameworks.litellm.litellm_ways import ASKED, OPUS, anthropic_at, openai_at, text_of
from tests.schedulers import Schedulers

__all__ = ["defaults"]

TEXT = Reply().text


def test_bad_arguments() -> None:
    adapter = LiteLLMAdapter()
    assert repr(adapter) == "<LiteLLMAdapter of the configured scheduler>"
    cases: list[tuple[Any, str]] = [
        (lambda: LiteLLMAdapter(3), "scheduler must be"),  # type: ignore[arg-type]
        (lambda: LiteLLMAdapter(weight=-1), "weight"),
        (lambda: adapter.router(litellm), "router must be a litellm.Router"),
        (lambda: adapter.wrap(asyncio), "router must be a litellm.Router"),
    ]
    for make, says in cases:
        with pytest.raises(ValueError, match=says):
            make()


def test_missing_package() -> None:
    """Without the package the adapter says how to install it."""
    program = (
        "import sys; sys.modules['litellm'] = None; "
        "from loco_redis.adapters.litellm import LiteLLMAdapter; LiteLLMAdapter()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "is not installed: pip install 'loco-redis[litellm]'" in done.stderr.splitlines()[-1]


async def test_module(provider: FakeProvider, schedulers: Schedulers) -> None:
    """The module is as before, but for its scheduled functions."""
    scheduler = schedulers()
    module = LiteLLMAdapter(scheduler).wrap(litellm)
    answer = await module.acompletion(**openai_at(provider), **ASKED)
    assert text_of(answer) == TEXT
    assert isinstance(answer, module.ModelResponse)
    assert (await scheduler.snapshot()).granted == 1
    assert repr(module).startswith("<scheduled <module 'litellm'")


async def test_stream_is_one_of_litellm(provider: FakeProvider, schedulers: Schedulers) -> None:
    """It passes for LiteLLM's own, and shows the usage only to who has asked for it."""
    adapter = LiteLLMAdapter(schedulers())
    arguments = {**openai_at(provider), **ASKED, "stream": True}
    stream = await adapter.acompletion(**arguments)
    assert isinstance(stream, litellm.CustomStreamWrapper)
    assert (stream.model, stream.custom_llm_provider) == ("gpt-5-nano", "openai")
    chunks = [chunk async for chunk in stream]
    assert not any(getattr(chunk, "usage", None) for chunk in chunks)
    asked = {"stream_options": {"include_usage": True}}
    shown = [chunk async for chunk in await adapter.acompletion(**arguments, **asked)]
    assert len(shown) == len(chunks) + 1
    assert shown[-1].usage.total_tokens == provider.reported[-1].total_tokens
    assert provider.requests[0].body["stream_options"] == asked["stream_options"]


async def test_embeddings(provider: FakeProvider, schedulers: Schedulers) -> None:
    """They have slots as well, async and from other threads."""
    scheduler = schedulers()
    adapter = LiteLLMAdapter(scheduler, prices=price)
    arguments = {**openai_at(provider, "openai/text-embedding-3-small"), "input": ["one", "two"]}
    await adapter.aembedding(**arguments)
    await asyncio.to_thread(adapter.embedding, **arguments)
    await settle_down(schedulers.server, provider)
    assert (await scheduler.snapshot()).granted == 2
    assert await settled(scheduler) == reported(provider)


async def test_plain_calls_of_threads(provider: FakeProvider, schedulers: Schedulers) -> None:
    """They take the slots of the scheduler of an event loop; in the loop itself they would wait for
    themselves."""
    scheduler = schedulers()
    await scheduler.snapshot()  # opens it
    adapter = LiteLLMAdapter(scheduler)
    arguments = {**openai_at(provider), **ASKED}
    assert text_of(await asyncio.to_thread(adapter.completion, **arguments)) == TEXT
    with pytest.raises(RuntimeError, match="would wait for itself"):
        adapter.completion(**arguments)
    assert (await scheduler.snapshot()).granted == 1


async def test_configured(provider: FakeProvider, defaults: Defaults) -> None:
    """Without a scheduler the configured ones are used, of both kinds."""
    defaults.configure(1)
    adapter = LiteLLMAdapter()
    arguments = {**openai_at(provider), **ASKED}
    await adapter.acompletion(**arguments)
    await asyncio.to_thread(adapter.completion, **arguments)
    assert defaults.released() == 2


@pytest.mark.parametrize("at", [openai_at, anthropic_at])
async def test_back_off(provider: FakeProvider, schedulers: Schedulers, at: Any) -> None:
    """A 429 holds the fleet for as long as the provider asks, which LiteLLM tells in a place of its
    own."""
    scheduler, seconds = schedulers(), 0.4
    provider.script(Reply(status=429, retry_after=seconds))
    adapter = LiteLLMAdapter(scheduler)
    arguments = {**at(provider), **ASKED, "max_retries": 0}
    with pytest.raises(litellm.RateLimitError):
        await adapter.acompletion(**arguments)
    scene = Scene(None, scheduler, provider, schedulers.server)
    await scene.snapshot_when(lambda now: 0 < now.paused_for <= seconds and now.held == 0)
    assert text_of(await adapter.acompletion(**arguments)) == TEXT


async def test_downgrade(provider: FakeProvider, schedulers: Schedulers) -> None:
    """Over the budget the cheaper model of the same provider is asked."""
    budget = BudgetPolicy(default_limit=0.5, on_exceeded="downgrade")
    scheduler = schedulers(budget=budget)
    fallbacks = {"claude-opus-4-1": "claude-haiku-4-5"}
    adapter = LiteLLMAdapter(scheduler, prices=price, fallback_models=fallbacks)
    provider.default = Reply(billed=Billed(OPUS, 100, 0, 0, 100, 0))
    for _ in range(2):
        await adapter.acompletion(**anthropic_at(provider), **ASKED)
    models = [request.body["model"] for request in provider.requests]
    assert models == ["claude-opus-4-1", "claude-haiku-4-5"]
    assert set(await scheduler.metrics.attribution.cost_by_model()) == set(models)


async def test_names(provider: FakeProvider, schedulers: Schedulers) -> None:
    """What LiteLLM calls `openai/gpt-5-nano`, or a deployment that tells its base model, is weighed
    and priced by the model's own name."""
    priced: list[str] = []
    adapter = LiteLLMAdapter(schedulers(), prices=lambda model, _: priced.append(model) or 1.0)
    await adapter.acompletion(**openai_at(provider), **ASKED)
    await adapter.acompletion(**openai_at(provider, "openai/mine"), **ASKED, base_model="gpt-5")
    assert priced == ["gpt-5-nano"] * 2 + ["gpt-5"] * 2


async def test_tools(provider: FakeProvider, schedulers: Schedulers) -> None:
    """Messages may be LiteLLM's own objects, as those that it has answered by."""
    scheduler = schedulers()
    adapter = LiteLLMAdapter(scheduler)
    answer = await adapter.acompletion(**openai_at(provider), **ASKED)
    messages = [*ASKED["messages"], answer.choices[0].message, {"role": "user", "content": "Why?"}]
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    await adapter.acompletion(**openai_at(provider), messages=messages, tools=[tool])
    assert provider.requests[1].body["tools"] == [tool]
    assert (await scheduler.snapshot()).granted == 2


async def test_model_that_does_not_tell(schedulers: Schedulers) -> None:
    """LiteLLM counts the tokens of an answer without usage itself."""
    scheduler = schedulers()
    adapter = LiteLLMAdapter(scheduler)
    arguments = {"model": "openai/gpt-5-nano", "mock_response": "four " * 40, **ASKED}
    await adapter.acompletion(**arguments)
    assert (await settled(scheduler))[0] >= 30
    stream = await adapter.acompletion(**arguments, stream=True)
    assert "".join([c.choices[0].delta.content or "" async for c in stream]).startswith("four four")
    assert (await scheduler.snapshot()).granted == 2
