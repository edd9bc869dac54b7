"""Calls that a framework makes: what adapters rely on, beyond the cases of every way."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import httpx
import openai
import pytest

import loco_redis as loco
from loco_redis import AsyncLOCOScheduler, BudgetPolicy, LeaseLostError, LOCOScheduler
from loco_redis.adapters import OpenAIAdapter, Usage, VanillaAdapter
from loco_redis.adapters._calls.conduct import Conductor
from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.adapters.asks import Chat
from tests.adapters.async_scene import AGENT, Scene
from tests.adapters.settled import price
from tests.schedulers import NAME, Schedulers
from tests.waiting import eventually

USAGE = Usage(input_tokens=10, output_tokens=5)


async def settled_down(schedulers: Schedulers) -> None:
    await eventually(lambda: not schedulers.held() and not schedulers.waiting())


# Plain calls in the slots of an event loop's scheduler


async def test_threads_call_through_the_scheduler_of_a_loop(schedulers: Schedulers) -> None:
    """Each plain call in a thread waits for a slot of the loop's scheduler, and is settled."""
    scheduler, gate, inside = schedulers(2), threading.Event(), []
    async with scheduler:

        def work(number: int) -> int:
            inside.append(number)
            assert gate.wait(10)
            return number

        scheduled = VanillaAdapter(scheduler, agent_id=AGENT).wrap(work, used=lambda _: USAGE)
        calls = [asyncio.create_task(asyncio.to_thread(scheduled, n)) for n in range(5)]
        await eventually(lambda: schedulers.waiting() == 3 and len(inside) == 2)
        gate.set()
        assert await asyncio.gather(*calls) == list(range(5))
        assert await scheduler.metrics.total_actual_tokens() == 5 * USAGE.total_tokens


async def test_a_stream_that_a_thread_drops_gives_its_slot_back(schedulers: Schedulers) -> None:
    """Though the collector may run in any thread."""
    async with schedulers(1) as scheduler:

        def pieces() -> Iterator[str]:
            yield "one"
            yield "two"

        def first() -> str:
            return next(VanillaAdapter(scheduler).wrap(pieces)())

        assert await asyncio.to_thread(first) == "one"
        gc.collect()
        await settled_down(schedulers)


async def test_a_plain_call_in_the_loop_is_refused(schedulers: Schedulers) -> None:
    """It would wait for itself."""
    async with schedulers(1) as scheduler:
        scheduled = VanillaAdapter(scheduler).wrap(len)
        with pytest.raises(RuntimeError, match=r"would wait for itself.*asyncio\.to_thread"):
            scheduled("abc")


async def test_a_plain_call_needs_an_open_scheduler(schedulers: Schedulers) -> None:
    """Otherwise it is not known where its loop is."""
    scheduled = VanillaAdapter(schedulers(1)).wrap(len)
    with pytest.raises(RuntimeError, match="to be open: enter it by `async with`"):
        await asyncio.to_thread(scheduled, "abc")


async def test_an_async_call_needs_a_scheduler_of_a_loop(redis_url: str) -> None:
    """A LOCOScheduler is for plain ones."""
    with LOCOScheduler((), loco.SharedResource(NAME, 1), redis=redis_url) as scheduler:

        async def work() -> None:
            raise AssertionError

        with pytest.raises(ValueError, match="an async client needs an AsyncLOCOScheduler"):
            await VanillaAdapter(scheduler).wrap(work)()


# Errors


class Overloaded(Exception):
    """As most SDKs raise it."""

    status_code = 429
    headers: ClassVar[Any] = {"retry-after": "5"}


class OverloadedLiteLLM(Exception):
    """As LiteLLM does: the response that it made itself has no headers."""

    status_code = 429
    response = httpx.Response(429)
    litellm_response_headers: ClassVar[Any] = httpx.Headers({"Retry-After": "5"})


class OverloadedBotocore(Exception):
    """As botocore does."""

    response: ClassVar[Any] = {
        "ResponseMetadata": {"HTTPStatusCode": 429, "HTTPHeaders": {"retry-after": "5"}}
    }


class Wrapped(Exception):
    """As a framework does."""


@pytest.mark.parametrize("raised", [Overloaded, OverloadedLiteLLM, OverloadedBotocore])
async def test_a_429_that_a_framework_wraps_holds_the_fleet(
    schedulers: Schedulers, raised: type[Exception]
) -> None:
    """The error that it came from is looked at, too."""
    scheduler = schedulers(2)

    async def work() -> None:
        try:
            raise raised
        except raised as error:
            raise Wrapped from error

    with pytest.raises(Wrapped):
        await VanillaAdapter(scheduler).wrap(work)()
    assert 0 < (await scheduler.snapshot()).paused_for <= 5
    assert await scheduler.metrics.total_cost() == 0


async def test_a_usage_that_cannot_be_read_is_logged(
    schedulers: Schedulers, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer is the caller's all the same, and charged as estimated."""
    scheduler = schedulers(1)

    async def work() -> str:
        return "answer"

    def used(_: Any) -> Usage:
        raise AttributeError("of another version")

    with caplog.at_level(logging.ERROR, "loco_redis"):
        assert await VanillaAdapter(scheduler).wrap(work, used=used)() == "answer"
    assert "is not understood" in caplog.text
    await settled_down(schedulers)


async def test_a_stream_whose_slot_is_taken_away(schedulers: Schedulers) -> None:
    """It ends with LeaseLostError at its next piece."""
    scheduler = schedulers(1)

    async def pieces() -> AsyncIterator[str]:
        yield "one"
        yield "two"

    stream = VanillaAdapter(scheduler).wrap(pieces)()
    assert await anext(stream) == "one"
    (holder,) = (await scheduler.snapshot()).holders
    await scheduler.operations.release(holder.token)
    assert scheduler._session is not None
    ledger = scheduler._session.ledger
    await eventually(lambda: not ledger.leases)
    with pytest.raises(LeaseLostError):
        await anext(stream)


# Layers


async def test_two_layers_take_one_slot(schedulers: Schedulers, provider: FakeProvider) -> None:
    """A framework's call over a scheduled client, whole or as a stream, is scheduled once."""
    scheduler = schedulers(1)
    client = openai.AsyncOpenAI(base_url=provider.openai_url, api_key="any", max_retries=0)
    below = OpenAIAdapter(scheduler, client, prices=price).client
    adapter = VanillaAdapter(scheduler, agent_id=AGENT, prices=price)
    arguments: dict[str, Any] = {**Chat.arguments, "stream_options": {"include_usage": True}}

    async def whole() -> Any:
        return await below.chat.completions.create(**Chat.arguments)

    async def pieces() -> AsyncIterator[Any]:
        async with await below.chat.completions.create(**arguments, stream=True) as stream:
            async for chunk in stream:
                yield chunk

    def used(answer: Any) -> Usage | None:
        return Usage.of_openai(answer.usage.model_dump()) if answer.usage else None

    await adapter.wrap(whole, used=used)()
    assert [_ async for _ in adapter.wrap(pieces, used=used)()]
    await Scene(None, scheduler, provider, schedulers.server).settled(slots=2)
    assert list(await scheduler.metrics.actual_tokens_by_agent()) == [AGENT]
    await client.close()


async def test_a_429_that_an_sdk_tries_again_holds_the_fleet(
    schedulers: Schedulers, provider: FakeProvider
) -> None:
    """A scheduled client below a framework's call says so, though the call itself goes well."""
    scheduler, seconds = schedulers(1), 1.0
    client = openai.AsyncOpenAI(base_url=provider.openai_url, api_key="any", max_retries=1)
    below = OpenAIAdapter(scheduler, client).client
    provider.script(Reply(status=429, retry_after=seconds))

    async def whole() -> str:
        return Chat.text((await below.chat.completions.create(**Chat.arguments)).model_dump())

    call = asyncio.create_task(VanillaAdapter(scheduler).wrap(whole)())
    await eventually(lambda: provider.requests)
    scene = Scene(None, scheduler, provider, schedulers.server)
    assert (await scene.snapshot_when(lambda now: now.paused_for > 0)).paused_for <= seconds
    assert await call == Reply().text
    await client.close()


async def test_a_request_that_cannot_be_turned_holds_nothing(schedulers: Schedulers) -> None:
    """What a framework's object raises comes after the slot was won."""
    scheduler = schedulers(1, budget=BudgetPolicy(limits={AGENT: 0.001}, on_exceeded="downgrade"))
    options: Any = {"agent_id": AGENT, "prices": lambda model, usage: 1.0}
    conductor = Conductor("test", scheduler, fallback_models={"dear": "cheap"}, **options)

    def turn(model: str) -> None:
        raise AttributeError(f"cannot be turned to {model}")

    async def send() -> None:
        raise AssertionError

    with pytest.raises(AttributeError, match="cannot be turned to cheap"):
        await conductor.ask(conductor.call("dear", "Why?", use=turn), send, lambda _: None)
    assert (await scheduler.snapshot()).held == 0


# Who calls, and with which model


@pytest.mark.parametrize(
    ("context", "given", "own", "caller"),
    [
        ("context", "given", "own", "context"),
        (None, "given", "own", "given"),
        (None, None, "own", "own"),
        (None, None, None, "default"),
    ],
)
def test_who_calls(context: str | None, given: str | None, own: str | None, caller: str) -> None:
    """The context, else the adapter's agent, else the framework's own name for it."""
    conductor = Conductor("test", **({"agent_id": given} if given else {}))  # type: ignore[arg-type]
    if context is None:
        assert conductor.call("m", "", agent_id=own).agent_id == caller
        return
    with loco.agent(context):
        assert conductor.call("m", "", agent_id=own).agent_id == caller


@pytest.mark.parametrize("can_turn", [True, False])
async def test_downgrade(schedulers: Schedulers, can_turn: bool) -> None:
    """Over its budget, a call is turned to the cheaper model, where the framework lets it."""
    scheduler = schedulers(1, budget=BudgetPolicy(limits={AGENT: 0.001}, on_exceeded="downgrade"))
    options: Any = {"agent_id": AGENT, "fallback_models": {"claude-opus-5": "claude-haiku-4-5"}}
    options["prices"] = lambda model, usage: 1.0
    conductor, used = Conductor("test", scheduler, **options), list[str]()
    turn = used.append if can_turn else None
    call = conductor.call("claude-opus-5", "Why?", 100, use=turn)

    async def send() -> str:
        return "answer"

    assert await conductor.ask(call, send, lambda _: USAGE) == "answer"
    assert used == (["claude-haiku-4-5"] if can_turn else [])
    model = "claude-haiku-4-5" if can_turn else "claude-opus-5"
    assert call.model == model
    assert list(await scheduler.metrics.attribution.cost_by_model()) == [model]


# What it has used


@pytest.mark.parametrize(
    ("chunks", "read_to_end", "tokens"),
    [
        ([("", USAGE)], True, 15),  # as reported
        ([("x" * 40, None)], True, 2 + 10),  # not reported: the prompt, and what was seen
        ([("x" * 40, None), ("", USAGE)], False, 2 + 10),  # ended before it was
        ([("x" * 40, USAGE)], False, 10 + 10),  # reported on its way: at least what was seen
        ([], False, 0),  # nothing has begun
    ],
)
def test_tokens_of_a_stream(
    chunks: list[tuple[str, Usage | None]], read_to_end: bool, tokens: int
) -> None:
    """Of one that ends early, what was reported, and a token for each 4 characters seen."""
    call = Conductor("test", prices=False).call("m", "8 chars.")
    for text, usage in chunks if read_to_end else chunks[:1]:
        call.seen(text)
        call.used(usage)
    if read_to_end:
        call.ended()
    bill = call.bill()
    assert bill is not None
    assert bill[1] == tokens


def test_an_answer_that_says_nothing_costs_what_was_estimated() -> None:
    """`bill` knows nothing then."""
    call = Conductor("test").call("m", "")
    call.used(None)
    call.ended()
    assert call.bill() is None


def test_a_scheduler_of_no_kind() -> None:
    """It is named at once."""
    scheduler: Any = "llm"
    with pytest.raises(ValueError, match="LOCOScheduler.*got 'llm'"):
        Conductor("test", scheduler)


def test_what_cannot_be_called() -> None:
    function: Any = 3
    with pytest.raises(ValueError, match="function must be callable, got 3"):
        VanillaAdapter(AsyncLOCOScheduler((), loco.SharedResource("x", 1))).wrap(function)
