"""The callback handler: it books and refuses, and never holds a slot."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache

import loco_redis
from loco_redis import (
    AsyncLOCOScheduler,
    BudgetExceededError,
    BudgetManager,
    BudgetPolicy,
    LOCOScheduler,
    SharedResource,
)
from loco_redis.adapters.langchain import LOCOCallbackHandler
from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.adapters.asks import QUESTION
from tests.adapters.async_cases import TEXT
from tests.adapters.settled import price, reported
from tests.frameworks.langchain.langchain_ways import chat_anthropic, chat_openai
from tests.schedulers import NAME, Schedulers
from tests.waiting import eventually

MAKERS = [chat_openai, chat_anthropic]


async def opened(scheduler: AsyncLOCOScheduler) -> AsyncLOCOScheduler:
    """The handler's methods are plain, and do not open it."""
    await scheduler.snapshot()
    return scheduler


@pytest.mark.parametrize("make", MAKERS)
async def test_it_books_what_a_call_has_used(
    make: Any, provider: FakeProvider, schedulers: Schedulers
) -> None:
    """Of async and plain calls and streams, for the agent of the context, its own, or the node."""
    scheduler = await opened(schedulers())
    handler = LOCOCallbackHandler(scheduler, prices=price)
    model = make(provider, callbacks=[handler], stream_usage=True)
    with loco_redis.agent("of the context"):
        await model.ainvoke(QUESTION)
        assert "".join([chunk.text async for chunk in model.astream(QUESTION)]) == TEXT
    await asyncio.to_thread(model.invoke, QUESTION)
    await asyncio.to_thread(lambda: list(model.stream(QUESTION)))
    agent = create_agent(model, [], name="named")
    await agent.ainvoke({"messages": [("user", QUESTION)]})
    tokens, cost = reported(provider)
    by_agent = await scheduler.metrics.actual_tokens_by_agent()
    assert by_agent.keys() == {"of the context", "default", "named"}
    assert sum(by_agent.values()) == tokens
    budget = schedulers(budget=BudgetManager()).budget
    assert budget is not None
    assert round(sum([await budget.spent(agent) for agent in by_agent]), 3) == cost
    assert (await scheduler.snapshot()).granted == 0


async def test_it_refuses_what_the_budget_has_no_room_for(
    provider: FakeProvider, schedulers: Schedulers
) -> None:
    """In the mode "reject", whoever has set the budget; on every way, before anything is sent."""
    other = schedulers(budget=BudgetPolicy(limits={"poor": 0.001, "rich": 100}))
    await other.snapshot()
    scheduler = await opened(schedulers(None))
    model = chat_openai(provider, callbacks=[LOCOCallbackHandler(scheduler, agent_id="poor")])
    ways = (
        model.ainvoke(QUESTION),
        anext(model.astream(QUESTION)),
        asyncio.to_thread(model.invoke, QUESTION),
        asyncio.to_thread(lambda: list(model.stream(QUESTION))),
    )
    for way in ways:
        with pytest.raises(BudgetExceededError) as caught:
            await way
    error = caught.value
    assert (error.agent_id, error.limit, error.used) == ("poor", 0.001, 0.0)
    assert error.asked > 0.001
    assert provider.requests == []
    with loco_redis.agent("rich"):
        await model.ainvoke(QUESTION)
    assert other.budget is not None
    assert 0 < await other.budget.spent("rich") < 100


@pytest.mark.parametrize("mode", ["alert", "downgrade"])
async def test_it_refuses_nothing_in_other_modes(
    mode: str, provider: FakeProvider, schedulers: Schedulers
) -> None:
    budget = BudgetPolicy(default_limit=0, on_exceeded=mode)
    scheduler = await opened(schedulers(budget=budget))
    model = chat_openai(provider, callbacks=[LOCOCallbackHandler(scheduler)])
    assert (await model.ainvoke(QUESTION)).text == TEXT


async def test_a_cancelled_call_leaves_nothing(
    provider: FakeProvider, schedulers: Schedulers
) -> None:
    """LangChain tells handlers nothing then; it is not booked."""
    scheduler = await opened(schedulers())
    provider.script(Reply(gate=threading.Event()))
    model = chat_openai(provider, callbacks=[LOCOCallbackHandler(scheduler)])
    call = asyncio.create_task(model.ainvoke(QUESTION))
    await eventually(lambda: provider.in_flight == 1)
    assert schedulers.held() == 0
    call.cancel()
    await asyncio.wait([call])
    assert await scheduler.metrics.total_actual_tokens() == 0


async def test_a_cached_answer_costs_nothing(
    provider: FakeProvider, schedulers: Schedulers
) -> None:
    scheduler = await opened(schedulers())
    handler = LOCOCallbackHandler(scheduler)
    model = chat_openai(provider, callbacks=[handler], cache=InMemoryCache())
    await model.ainvoke(QUESTION)
    await model.ainvoke(QUESTION)
    assert await scheduler.metrics.total_actual_tokens() == reported(provider)[0]


def test_a_scheduler_of_plain_code(provider: FakeProvider, schedulers: Schedulers) -> None:
    options: Any = {"redis": schedulers.server.url, "lease_ttl": 2.0}
    with LOCOScheduler(resource=SharedResource(NAME, 1), **options) as scheduler:
        model = chat_openai(provider, callbacks=[LOCOCallbackHandler(scheduler)])
        model.invoke(QUESTION)
        asyncio.run(model.ainvoke(QUESTION))
        assert scheduler.metrics.total_actual_tokens() == reported(provider)[0]


async def test_an_answer_that_cannot_be_booked_is_the_callers(
    provider: FakeProvider, schedulers: Schedulers, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(model: str, usage: Any) -> float:
        if usage.reasoning_tokens:  # not of an estimate
            raise ZeroDivisionError
        return 0.0

    handler = LOCOCallbackHandler(await opened(schedulers()), prices=broken)
    assert (await chat_openai(provider, callbacks=[handler]).ainvoke(QUESTION)).text == TEXT
    assert "could not be booked" in caplog.text


async def test_it_cannot_ask_the_loop_in_which_it_is_called(
    provider: FakeProvider, schedulers: Schedulers
) -> None:
    """A plain call in the loop of its scheduler is refused, not let through."""
    async with schedulers() as scheduler:
        model = chat_openai(provider, callbacks=[LOCOCallbackHandler(scheduler)])
        with pytest.raises(RuntimeError, match="would wait for itself"):
            model.invoke(QUESTION)
    assert provider.requests == []


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="scheduler must be"):
        LOCOCallbackHandler("llm")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must not be empty"):
        LOCOCallbackHandler(agent_id="")
