"""Routers: each attempt has a slot, and costs what the model costs that has answered."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import litellm
import pytest

import loco_redis
from loco_redis import (
    AcquireTimeoutError,
    AsyncLOCOScheduler,
    BudgetExceededError,
    BudgetPolicy,
    LOCOScheduler,
    SharedResource,
)
from loco_redis.adapters.litellm import LiteLLMAdapter
from loco_redis.testing.fake_provider import Billed, FakeProvider, Reply
from tests.adapters.settled import price, reported, settle_down, settled
from tests.frameworks.litellm.litellm_ways import (
    ASKED,
    NANO,
    anthropic_at,
    openai_at,
    router_at,
    text_of,
)
from tests.schedulers import NAME, Schedulers
from tests.waiting import eventually

TEXT = Reply().text
MESSAGES = ASKED["messages"]


async def granted(scheduler: AsyncLOCOScheduler) -> int:
    return (await scheduler.snapshot()).granted


def deployment(group: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"model_name": group, "litellm_params": {**parameters, "max_retries": 0}}


def two_groups(provider: FakeProvider, **more: Any) -> litellm.Router:
    """`clever` and `quick`."""
    groups = [
        deployment("clever", openai_at(provider, "openai/gpt-5")),
        deployment("quick", openai_at(provider, NANO)),
    ]
    return litellm.Router(model_list=groups, **{"num_retries": 0, **more})


async def asked(router: Any, group: str, streamed: bool) -> str:
    if not streamed:
        return text_of(await router.acompletion(model=group, messages=MESSAGES))
    stream = await router.acompletion(model=group, messages=MESSAGES, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def test_is_a_router(provider: FakeProvider, schedulers: Schedulers) -> None:
    """It passes for the one that it is made of, which takes no slots."""
    scheduler, router = schedulers(), router_at(provider)
    scheduled = LiteLLMAdapter(scheduler).router(router)
    assert isinstance(scheduled, litellm.Router)
    assert scheduled.get_model_names() == ["quick"]
    await router.acompletion(model="quick", messages=MESSAGES)
    assert await granted(scheduler) == 0
    await scheduled.acompletion(model="quick", messages=MESSAGES)
    assert await granted(scheduler) == 1


@pytest.mark.parametrize("streamed", [False, True])
async def test_retries(provider: FakeProvider, schedulers: Schedulers, streamed: bool) -> None:
    """Each has a slot of its own."""
    scheduler = schedulers()
    provider.script(Reply(status=500), Reply(status=500))
    router = LiteLLMAdapter(scheduler, prices=price).router(router_at(provider, num_retries=2))
    assert await asked(router, "quick", streamed) == TEXT
    await settle_down(schedulers.server, provider)
    assert await granted(scheduler) == len(provider.requests) == 3
    assert await settled(scheduler) == reported(provider)


@pytest.mark.parametrize("streamed", [False, True])
async def test_fallbacks(provider: FakeProvider, schedulers: Schedulers, streamed: bool) -> None:
    """What falls back on another group takes a new slot, and costs what is paid there."""
    scheduler = schedulers()
    provider.script(Reply(status=500))
    router = two_groups(provider, fallbacks=[{"clever": ["quick"]}])
    router = LiteLLMAdapter(scheduler, prices=price).router(router)
    assert await asked(router, "clever", streamed) == TEXT
    await settle_down(schedulers.server, provider)
    assert [request.body["model"] for request in provider.requests] == ["gpt-5", "gpt-5-nano"]
    assert await granted(scheduler) == 2
    assert await settled(scheduler) == reported(provider)
    assert set(await scheduler.metrics.attribution.cost_by_model()) <= {"gpt-5", "gpt-5-nano"}


@pytest.mark.parametrize("streamed", [False, True])
async def test_mixed_group(provider: FakeProvider, schedulers: Schedulers, streamed: bool) -> None:
    """A group of several models is paid by the one that the Router has picked."""
    priced: list[str] = []

    def noted(model: str, usage: Any) -> float:
        priced.append(model)
        return price(model, usage)

    both = [openai_at(provider, "openai/gpt-5"), anthropic_at(provider)]
    router = litellm.Router(model_list=[deployment("any", each) for each in both], num_retries=0)
    scheduled = LiteLLMAdapter(schedulers(), prices=noted).router(router)
    for _ in range(12):
        await asked(scheduled, "any", streamed)
    await settle_down(schedulers.server, provider)
    paths = {"/v1/messages": "claude-opus-4-1", "/v1/chat/completions": "gpt-5"}
    picked = [paths[request.path] for request in provider.requests]
    assert priced[1::2] == picked  # before each there is the estimate, by the first of the group
    assert set(priced[::2]) == {"gpt-5"}


async def test_fallback_in_a_stream(provider: FakeProvider, schedulers: Schedulers) -> None:
    """A stream that breaks off before its first text is begun again elsewhere, in the same slot,
    and costs what is paid there."""
    priced: list[str] = []

    def noted(model: str, usage: Any) -> float:
        priced.append(model)
        return price(model, usage)

    scheduler = schedulers()
    provider.script(Reply(break_after=1))
    router = two_groups(provider, fallbacks=[{"clever": ["quick"]}])
    router = LiteLLMAdapter(scheduler, prices=noted).router(router)
    assert await asked(router, "clever", streamed=True) == TEXT
    await settle_down(schedulers.server, provider)
    assert await granted(scheduler) == 1
    assert len(provider.requests) == 2
    assert priced[-1] == "gpt-5-nano"
    assert await settled(scheduler) == reported(provider)


async def test_broken_stream(provider: FakeProvider, schedulers: Schedulers) -> None:
    """One that breaks off later is an error, and costs what had come."""
    scheduler = schedulers()
    provider.script(Reply(break_after=6))
    router = two_groups(provider, fallbacks=[{"clever": ["quick"]}])
    with pytest.raises(litellm.APIConnectionError):
        await asked(LiteLLMAdapter(scheduler).router(router), "clever", streamed=True)
    await settle_down(schedulers.server, provider)
    assert await granted(scheduler) == len(provider.requests) == 1
    assert (await settled(scheduler))[0] > 0


async def test_downgrade(provider: FakeProvider, schedulers: Schedulers) -> None:
    """Over the budget the group is asked that has the cheaper model; if there is one."""
    budget = BudgetPolicy(default_limit=0.5, on_exceeded="downgrade")
    scheduler = schedulers(budget=budget)
    fallbacks = {"gpt-5": "gpt-5-nano", "gpt-5-nano": "elsewhere"}
    adapter = LiteLLMAdapter(scheduler, prices=price, fallback_models=fallbacks)
    provider.default = Reply(billed=Billed("gpt-5", 100, 0, 0, 100, 0))
    router = adapter.router(two_groups(provider))
    for group in ("clever", "clever", "quick"):
        await router.acompletion(model=group, **ASKED)
    models = [request.body["model"] for request in provider.requests]
    assert models == ["gpt-5", "gpt-5-nano", "gpt-5-nano"]


@pytest.mark.parametrize("plain", [False, True])
async def test_refusals(provider: FakeProvider, schedulers: Schedulers, plain: bool) -> None:
    """They come out as they are: the Router neither tries again nor falls back."""
    scheduler = schedulers(budget=BudgetPolicy(limits={"poor": 0}))
    router = two_groups(provider, num_retries=3, fallbacks=[{"clever": ["quick"]}])
    scheduled = LiteLLMAdapter(scheduler, timeout=0.3).router(router)
    await scheduler.snapshot()  # opens it

    async def ask(agent: str) -> None:
        with loco_redis.agent(agent):
            if plain:
                await asyncio.to_thread(scheduled.completion, model="clever", messages=MESSAGES)
            else:
                await scheduled.acompletion(model="clever", messages=MESSAGES)

    with pytest.raises(BudgetExceededError):
        await ask("poor")
    other = await scheduler.acquire_start("other")
    with pytest.raises(AcquireTimeoutError):
        await ask("late")
    await scheduler.release_handle(other)
    assert provider.requests == []
    assert await granted(scheduler) == 1


async def test_two_layers(provider: FakeProvider, schedulers: Schedulers) -> None:
    """A Router that is scheduled twice takes one slot for each attempt."""
    scheduler = schedulers()
    adapter = LiteLLMAdapter(scheduler, prices=price)
    router = adapter.router(adapter.router(router_at(provider)))
    assert await asked(router, "quick", streamed=False) == TEXT
    assert await asked(router, "quick", streamed=True) == TEXT
    await settle_down(schedulers.server, provider)
    assert await granted(scheduler) == 2
    assert await settled(scheduler) == reported(provider)


async def test_plain_calls_near_a_loop(provider: FakeProvider, schedulers: Schedulers) -> None:
    """The Router makes plain calls in an event loop of its own, and in another thread if there is
    one already: the caller's agent and slot are known there; the scheduler's own loop would wait
    for itself."""
    scheduler = schedulers()
    await scheduler.snapshot()  # opens it
    router = LiteLLMAdapter(scheduler).router(router_at(provider))
    with pytest.raises(RuntimeError, match="would wait for itself"):
        router.completion(model="quick", messages=MESSAGES)
    with LOCOScheduler(
        (), SharedResource(NAME, 1), redis=schedulers.server.url, lease_ttl=2.0
    ) as blocking:
        router = LiteLLMAdapter(blocking).router(router_at(provider))
        with blocking.acquire("the program"):
            answer = router.completion(model="quick", messages=MESSAGES)
        assert text_of(answer) == TEXT
        with loco_redis.agent("the caller"):
            router.completion(model="quick", messages=MESSAGES)
        assert set(blocking.metrics.actual_tokens_by_agent()) == {"default", "the caller"}
        assert blocking.snapshot().granted == 2


async def test_the_other_ways_in(provider: FakeProvider, schedulers: Schedulers) -> None:
    """Batches, priorities, embeddings and `chat.completions` come to attempts as well."""
    scheduler, gate = schedulers(2), threading.Event()
    names = openai_at(provider, "openai/text-embedding-3-small")
    groups = [deployment("quick", openai_at(provider)), deployment("vectors", names)]
    router = LiteLLMAdapter(scheduler).router(litellm.Router(model_list=groups, num_retries=0))
    provider.default = Reply(gate=gate)
    batch = asyncio.create_task(router.abatch_completion(models=["quick"], messages=[MESSAGES] * 4))
    await eventually(lambda: provider.in_flight == 2)
    gate.set()
    assert len(await batch) == 4
    await router.acompletion(model="quick", messages=MESSAGES, priority=1)
    await router.aembedding(model="vectors", input=["one"])
    await asyncio.to_thread(router.embedding, model="vectors", input=["one"])
    await asyncio.to_thread(router.chat.completions.create, model="quick", messages=MESSAGES)
    assert provider.peak == 2
    assert await granted(scheduler) == len(provider.requests) == 8
