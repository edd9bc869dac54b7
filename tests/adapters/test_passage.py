"""A call's time in its slot when something is unusual: a lost lease, a Redis that does not answer,
a slot of another thread, a scheduler that is closed first."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import openai
import pytest

from loco_redis import LeaseLostError, LOCOScheduler, SharedResource
from loco_redis.adapters import OpenAIAdapter, ProviderError
from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.adapters.async_scene import AGENT, Scene
from tests.adapters.async_ways import KEY
from tests.adapters.settled import price
from tests.schedulers import NAME, Schedulers
from tests.servers import Server
from tests.waiting import eventually

QUESTION: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}


def _adapter(scheduler: Any, client: Any) -> OpenAIAdapter:
    return OpenAIAdapter(scheduler, client, agent_id=AGENT, prices=price)


@pytest.fixture
def client(provider: FakeProvider) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=provider.openai_url, api_key=KEY, max_retries=0)


@pytest.mark.parametrize("on_lost", ["cancel", "warn"])
async def test_a_stream_whose_slot_is_taken_away(
    provider: FakeProvider, schedulers: Schedulers, client: openai.AsyncOpenAI, on_lost: str
) -> None:
    """It ends with LeaseLostError at its next piece; or goes on, if the scheduler only warns."""
    scheduler, gate = schedulers(on_lost=on_lost), threading.Event()
    provider.script(Reply(gate=gate, gate_after=3))
    stream = await _adapter(scheduler, client).create_chat(AGENT, stream=True, **QUESTION)
    chunks = [await anext(stream)]
    (holder,) = (await scheduler.snapshot()).holders
    await scheduler.operations.release(holder.token)
    assert scheduler._session is not None
    ledger = scheduler._session.ledger
    await eventually(lambda: not ledger.leases)
    gate.set()
    if on_lost == "cancel":
        with pytest.raises(LeaseLostError):
            chunks += [chunk async for chunk in stream]
    else:
        chunks += [chunk async for chunk in stream]
        assert chunks[-1].choices[0].finish_reason == "stop"
    await Scene(None, scheduler, provider, schedulers.server).released(slots=1)


@pytest.mark.parametrize(
    ("status", "retry_after", "told"),
    [(429, None, True), (529, None, True), (503, 2.0, True), (503, None, False), (500, 2.0, False)],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_who_is_told_that_it_is_too_much(
    provider: FakeProvider,
    schedulers: Schedulers,
    client: openai.AsyncOpenAI,
    status: int,
    retry_after: float | None,
    told: bool,
    stream: bool,
) -> None:
    """The fleet, when the provider is overloaded, and by the time its answer has been read."""
    scheduler = schedulers()
    provider.script(Reply(status=status, retry_after=retry_after))
    with pytest.raises(openai.APIStatusError):
        await _adapter(scheduler, client).create_chat(AGENT, stream=stream, **QUESTION)
    snapshot = await scheduler.snapshot()
    assert (snapshot.paused_for > 0) is told
    assert snapshot.held == 0


async def test_failed_work(
    provider: FakeProvider, schedulers: Schedulers, client: openai.AsyncOpenAI
) -> None:
    """The scheduler's callback hears how each attempt ended."""
    ends: list[BaseException | None] = []
    scheduler = schedulers(on_task_completed=lambda lease, error: ends.append(error))
    provider.script(Reply(status=500), Reply())
    adapter = _adapter(scheduler, client.with_options(max_retries=1))
    assert (await adapter.create_chat(AGENT, **QUESTION)).choices
    failed, done = ends
    assert isinstance(failed, ProviderError)
    assert (failed.status, str(failed), done) == (500, "HTTP 500", None)


async def test_an_answer_does_not_wait_for_redis(
    provider: FakeProvider, schedulers: Schedulers, client: openai.AsyncOpenAI
) -> None:
    """Redis stops while the provider works: the caller has the answer all the same, and everything
    is booked when Redis goes on."""
    scheduler, gate = schedulers(), threading.Event()
    provider.script(Reply(gate=gate))
    call = asyncio.create_task(_adapter(scheduler, client).create_chat(AGENT, **QUESTION))
    await eventually(lambda: provider.in_flight)
    schedulers.server.client.client_pause(2500, all=True)
    gate.set()
    began = time.monotonic()
    assert (await call).choices
    assert time.monotonic() - began < 2
    await Scene(None, scheduler, provider, schedulers.server).settled(slots=1)


async def test_a_closed_scheduler(
    provider: FakeProvider, schedulers: Schedulers, client: openai.AsyncOpenAI
) -> None:
    """A stream that outlives its scheduler can be closed."""
    scheduler = schedulers(on_lost="warn")
    provider.script(Reply(gate=threading.Event(), gate_after=3))
    stream = await _adapter(scheduler, client).create_chat(AGENT, stream=True, **QUESTION)
    await anext(stream)
    await scheduler.aclose()
    await stream.close()
    await eventually(lambda: provider.disconnects)


def test_a_closed_blocking_scheduler(provider: FakeProvider, server: Server) -> None:
    """The same for plain code."""
    resource = SharedResource(NAME, 1)
    plain = openai.OpenAI(base_url=provider.openai_url, api_key=KEY, max_retries=0)
    provider.script(Reply(gate=threading.Event(), gate_after=3))
    with LOCOScheduler((), resource, redis=server.url, on_lost="warn") as scheduler:
        stream = _adapter(scheduler, plain).create_chat(AGENT, stream=True, **QUESTION)
        next(stream)
    stream.close()
    plain.close()


async def test_a_call_in_a_thread_inside_a_slot_of_the_loop(
    provider: FakeProvider, schedulers: Schedulers
) -> None:
    """It uses that slot, though it has another scheduler, and its cost is added to it."""
    scheduler = schedulers(1)
    resource = SharedResource(NAME, 1)
    plain = openai.OpenAI(base_url=provider.openai_url, api_key=KEY, max_retries=0)
    with LOCOScheduler((), resource, redis=schedulers.server.url, lease_ttl=2.0) as blocking:
        adapter = _adapter(blocking, plain)
        async with scheduler.acquire(AGENT) as lease:
            calls = [asyncio.to_thread(adapter.create_chat, AGENT, **QUESTION) for _ in range(4)]
            await asyncio.gather(*calls)
            await eventually(lambda: lease._spent[1] == 4 * provider.reported[0].total_tokens)
        await Scene(None, scheduler, provider, schedulers.server).settled(slots=1)
    plain.close()


async def test_a_loop_that_calls_plain_code_in_its_slot(
    provider: FakeProvider, schedulers: Schedulers
) -> None:
    """A plain call that blocks the very loop of the slot does not wait for that loop."""
    scheduler = schedulers(1)
    resource = SharedResource(NAME, 1)
    plain = openai.OpenAI(base_url=provider.openai_url, api_key=KEY, max_retries=0)
    with LOCOScheduler((), resource, redis=schedulers.server.url, lease_ttl=2.0) as blocking:
        async with scheduler.acquire(AGENT) as lease:
            assert _adapter(blocking, plain).create_chat(AGENT, **QUESTION).choices
            await eventually(lambda: lease._spent[1])
        await Scene(None, scheduler, provider, schedulers.server).settled(slots=1)
    plain.close()
