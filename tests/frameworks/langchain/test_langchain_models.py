"""Scheduled chat models: what they still are, and what takes a slot."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from typing import Any

import httpx
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField
from langchain_openai import ChatOpenAI

from loco_redis import AsyncLOCOScheduler, BudgetPolicy, LOCOScheduler, SharedResource
from loco_redis.adapters import AsyncScheduledTransport
from loco_redis.adapters.langchain import schedule
from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.adapters.asks import QUESTION, Verdict
from tests.adapters.async_cases import TEXT
from tests.adapters.settled import price, reported, settle_down, settled
from tests.frameworks.langchain.langchain_fakes import (
    USAGE,
    WORDS,
    Events,
    OneInTheOther,
    OnlyPlain,
    calls_of_all_kinds,
)
from tests.frameworks.langchain.langchain_ways import (
    chat_anthropic,
    chat_openai,
    chat_responses,
)
from tests.schedulers import Schedulers
from tests.waiting import eventually

MAKERS = [chat_openai, chat_responses, chat_anthropic]
TOOL = {"name": "add", "description": "Adds", "parameters": {"type": "object", "properties": {}}}

pytestmark = pytest.mark.filterwarnings("ignore:.*is in beta")


async def granted(scheduler: AsyncLOCOScheduler) -> int:
    now = await scheduler.snapshot()
    assert (now.held, now.waiting) == (0, 0)
    return now.granted


@pytest.mark.parametrize("make", MAKERS)
async def test_what_chat_models_return_is_scheduled(
    make: Any, provider: FakeProvider, schedulers: Schedulers
) -> None:
    """Bound tools, structured output, bound arguments, chains, batches, event streams."""
    scheduler = schedulers(3)
    model = schedule(make(provider), scheduler, prices=price)
    assert (await model.bind_tools([TOOL]).ainvoke(QUESTION)).text == TEXT
    assert provider.requests[-1].body["tools"]
    provider.script(Reply(text='{"answer": 4, "reason": "sum"}'))
    structured = model.with_structured_output(Verdict, method="json_schema")
    assert (await structured.ainvoke(QUESTION)).answer == 4
    chain = ChatPromptTemplate.from_template("{q}") | model | StrOutputParser()
    assert "".join([piece async for piece in chain.astream({"q": QUESTION})]) == TEXT
    assert [answer.text for answer in await model.abatch([QUESTION] * 3)] == [TEXT] * 3
    stream = await model.astream_events(QUESTION, version="v3")
    assert (await stream).text == TEXT
    await settle_down(schedulers.server, provider)
    assert await granted(scheduler) == len(provider.requests) == 7
    assert await settled(scheduler) == reported(provider)


def test_it_is_a_chat_model_of_its_class(provider: FakeProvider) -> None:
    plain = chat_openai(provider)
    model = schedule(plain)
    assert isinstance(model, ChatOpenAI)
    assert type(plain) is ChatOpenAI
    assert model.root_client is plain.root_client
    assert model._get_llm_string() == plain._get_llm_string()
    assert repr(model) == repr(plain)
    assert model.asdict() == plain.asdict()
    for name in ("_stream_chat_model_events", "_astream_chat_model_events"):
        assert not hasattr(model, name)


async def test_a_cached_answer_takes_no_slot(
    provider: FakeProvider, schedulers: Schedulers
) -> None:
    """The cache is shared with the model that is not scheduled."""
    scheduler = schedulers()
    plain = chat_openai(provider, cache=InMemoryCache())
    model = schedule(plain, scheduler)
    for _ in range(2):
        assert (await model.ainvoke(QUESTION)).text == TEXT
    assert (await plain.ainvoke(QUESTION)).text == TEXT
    assert await granted(scheduler) == len(provider.requests) == 1


async def test_copies_stay_scheduled(provider: FakeProvider, schedulers: Schedulers) -> None:
    scheduler = schedulers()
    model = schedule(OnlyPlain(), scheduler)
    fields = model.configurable_fields(model=ConfigurableField(id="which"))
    copies = [copy.copy(model), copy.deepcopy(model), model.model_copy(), fields]
    copies.append(fields.with_config(configurable={"which": "gpt-5"}))
    for one in copies:
        await one.ainvoke(QUESTION)
    assert await granted(scheduler) == len(copies)


def test_a_model_with_a_scheduler_of_its_own_is_not_pickled(schedulers: Schedulers) -> None:
    with pytest.raises(pickle.PicklingError, match="configure"):
        pickle.dumps(schedule(OnlyPlain(), schedulers()))


async def test_two_layers_take_one_slot(provider: FakeProvider, schedulers: Schedulers) -> None:
    scheduler = schedulers()
    client = httpx.AsyncClient(transport=AsyncScheduledTransport(scheduler))
    below = chat_openai(provider, http_async_client=client)
    for model in (schedule(below, scheduler), schedule(schedule(below, scheduler), scheduler)):
        before = len(provider.requests)
        await model.ainvoke(QUESTION)
        assert "".join([chunk.text async for chunk in model.astream(QUESTION)]) == TEXT
        assert len(provider.requests) == before + 2
    await client.aclose()
    assert await granted(scheduler) == 4
    tokens, _ = await settled(scheduler)
    assert tokens == reported(provider)[0]


@pytest.mark.parametrize("make", [OnlyPlain, OneInTheOther, Events])
async def test_hooks_that_call_each_other_have_one_slot(make: Any, schedulers: Schedulers) -> None:
    """Also where LangChain runs plain hooks in threads; and what chunks have used is added up."""
    scheduler = schedulers()
    await calls_of_all_kinds(schedule(make(), scheduler))
    assert await granted(scheduler) == 6
    assert await scheduler.metrics.total_actual_tokens() == 6 * USAGE["total_tokens"]


async def test_who_waits_keeps_no_thread_from_who_streams(schedulers: Schedulers) -> None:
    """However many calls of a model without async hooks wait, the stream that has the slot gets a
    thread for each of its chunks."""
    scheduler, gate = schedulers(), threading.Event()
    model = schedule(OnlyPlain(gate=gate), scheduler)
    stream = model.astream(QUESTION)
    assert (await anext(stream)).text == WORDS[0]
    calls = [asyncio.create_task(model.ainvoke(QUESTION)) for _ in range(40)]
    await eventually(lambda: schedulers.waiting() == len(calls))
    gate.set()
    assert "".join([chunk.text async for chunk in stream]) == "".join(WORDS[1:])
    await asyncio.gather(*calls)
    assert await granted(scheduler) == 41


async def test_an_sdk_sleeps_and_tries_again_in_its_slot(
    provider: FakeProvider, schedulers: Schedulers
) -> None:
    """LangChain's own retries take a slot each."""
    scheduler = schedulers()
    provider.script(Reply(status=500), Reply(), Reply(status=500), Reply())
    await schedule(chat_openai(provider, max_retries=1), scheduler).ainvoke(QUESTION)
    assert await granted(scheduler) == 1
    model = schedule(chat_openai(provider), scheduler)
    await model.with_retry(wait_exponential_jitter=False).ainvoke(QUESTION)
    assert await granted(scheduler) == 3


@pytest.mark.parametrize("make", MAKERS)
async def test_a_429_holds_the_fleet(
    make: Any, provider: FakeProvider, schedulers: Schedulers
) -> None:
    scheduler = schedulers()
    provider.script(Reply(status=429, retry_after=7))
    with pytest.raises(Exception, match="429"):
        await schedule(make(provider), scheduler).ainvoke(QUESTION)
    assert 5 < (await scheduler.snapshot()).paused_for <= 7


@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("make", MAKERS)
async def test_over_its_budget_an_agent_gets_the_cheaper_model(
    make: Any, bound: bool, provider: FakeProvider, schedulers: Schedulers
) -> None:
    """Whether the model's name is the chat model's or the call's."""
    scheduler = schedulers(budget=BudgetPolicy(default_limit=0, on_exceeded="downgrade"))
    plain = make(provider)
    name = provider_name = plain._get_ls_params()["ls_model_name"]
    cheaper = {name: "cheap", "other": "cheap"}
    model = schedule(plain, scheduler, prices=price, fallback_models=cheaper)
    used: Any = model.bind(model="other") if bound else model
    assert (await used.ainvoke(QUESTION)).text == TEXT
    assert "".join([chunk.text async for chunk in used.astream(QUESTION)]) == TEXT
    assert [request.body["model"] for request in provider.requests] == ["cheap"] * 2
    assert plain._get_ls_params()["ls_model_name"] == provider_name
    await settle_down(schedulers.server, provider)
    assert await settled(scheduler) == reported(provider)


async def test_streams_of_openai_are_asked_for_their_usage(
    provider: FakeProvider, schedulers: Schedulers
) -> None:
    """Unless the program has decided against it: then it is guessed by the text."""
    scheduler = schedulers()
    asked = []
    for decided in ({}, {"stream_usage": True}, {"stream_usage": False}):
        model = schedule(chat_openai(provider, **decided), scheduler)
        found = [chunk.usage_metadata async for chunk in model.astream(QUESTION)]
        asked.append((bool(provider.requests[-1].body.get("stream_options")), any(found)))
    assert asked == [(True, True), (True, True), (False, False)]
    tokens, _ = await settled(scheduler)
    assert tokens > reported(provider)[0] > 0


async def test_a_way_that_does_not_fit_the_scheduler_is_refused(
    provider: FakeProvider, schedulers: Schedulers
) -> None:
    scheduler = schedulers()
    model = schedule(chat_openai(provider), scheduler)
    async with scheduler:
        with pytest.raises(RuntimeError, match="would wait for itself"):
            model.invoke(QUESTION)
    plain = LOCOScheduler(resource=SharedResource("llm"))
    with pytest.raises(ValueError, match="AsyncLOCOScheduler"):
        await schedule(chat_openai(provider), plain).ainvoke(QUESTION)
    plain.close()
    assert provider.requests == []


@pytest.mark.parametrize(
    ("model", "scheduler", "options", "said"),
    [
        ("gpt-5", None, {}, "model must be a chat model"),
        (OnlyPlain().bind(stop=["x"]), None, {}, "before bind_tools"),
        (OnlyPlain(), "llm", {}, "scheduler must be"),
        (OnlyPlain(), None, {"agent_id": ""}, "must not be empty"),
        (OnlyPlain(), None, {"timeout": -1}, "timeout"),
    ],
)
def test_bad_arguments(model: Any, scheduler: Any, options: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        schedule(model, scheduler, **options)
