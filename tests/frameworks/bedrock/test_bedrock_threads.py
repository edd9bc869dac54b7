"""boto3 under the scheduler of an event loop: calls in threads, of the adapter's own and of the
program's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from loco_redis import AcquireTimeoutError, BudgetExceededError, BudgetPolicy
from loco_redis.adapters.bedrock import BedrockAdapter
from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.adapters.asks import Bedrock, BedrockClaude
from tests.adapters.async_cases import TEXT
from tests.adapters.async_scene import AGENT, Scene
from tests.adapters.settled import price
from tests.frameworks.bedrock.boto_ways import boto
from tests.schedulers import Schedulers
from tests.waiting import eventually

Make = Callable[..., tuple[BedrockAdapter, Scene]]


@pytest.fixture
def make(provider: FakeProvider, schedulers: Schedulers) -> Make:
    """An adapter of a client of boto3 and an AsyncLOCOScheduler."""

    def make(
        capacity: int = 1, timeout: float | None = None, **of_scheduler: Any
    ) -> tuple[BedrockAdapter, Scene]:
        scheduler = schedulers(capacity, **of_scheduler)
        adapter = BedrockAdapter(scheduler, boto(provider), prices=price, timeout=timeout)
        return adapter, Scene(None, scheduler, provider, schedulers.server)

    return make


async def ask(adapter: BedrockAdapter) -> str:
    """By the adapter's own thread."""
    response = await adapter.invoke(AGENT, model_id=Bedrock.model, body=BedrockClaude.body)
    return BedrockClaude.text(response["body"].read())


async def ask_in_a_thread(adapter: BedrockAdapter) -> str:
    """By one of the program's."""
    return Bedrock.text(await asyncio.to_thread(adapter.client.converse, **Bedrock.arguments))


each = pytest.mark.parametrize("ask", [ask, ask_in_a_thread])
Ask = Callable[[BedrockAdapter], Any]


@each
async def test_answers(make: Make, ask: Ask) -> None:
    """A call has a slot, and is settled at what AWS says; the loop goes on meanwhile."""
    adapter, scene = make()
    gate = threading.Event()
    scene.provider.script(Reply(gate=gate))
    await scene.scheduler.snapshot()
    asking = asyncio.create_task(ask(adapter))
    await eventually(lambda: scene.provider.in_flight == 1)
    assert (await scene.scheduler.snapshot()).held == 1
    gate.set()
    assert await asking == TEXT
    assert await ask(adapter) == TEXT
    await scene.settled(slots=2)


@each
async def test_cancelled_in_flight(make: Make, ask: Ask) -> None:
    """Nobody waits for the answer any more, but its thread does: the slot is held until that comes
    back, and the answer is paid for."""
    adapter, scene = make()
    gate = threading.Event()
    scene.provider.script(Reply(gate=gate))
    await scene.scheduler.snapshot()
    asking = asyncio.create_task(ask(adapter))
    await eventually(lambda: scene.provider.in_flight == 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    next_one = asyncio.create_task(ask(adapter))
    now = await scene.snapshot_when(lambda now: now.waiting == 1)
    assert now.held == 1
    gate.set()
    assert await next_one == TEXT
    assert scene.provider.peak == 1
    await scene.settled(slots=2)


async def test_an_error_after_cancelling(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """It is nobody's; the fleet is told all the same when it is one of too much."""
    adapter, scene = make()
    gate = threading.Event()
    scene.provider.script(Reply(gate=gate, status=429))
    asking = asyncio.create_task(ask(adapter))
    await eventually(lambda: scene.provider.in_flight == 1)
    asking.cancel()
    await asyncio.wait([asking])
    gate.set()
    await scene.snapshot_when(lambda now: now.held == 0 and now.paused_for > 0)
    assert await scene.released(slots=1) == (0, 0.0)
    assert caplog.text == ""


async def test_cancelled_while_waiting(make: Make) -> None:
    """Who stops waiting for a slot leaves the queue; nothing is sent."""
    adapter, scene = make()
    other = await scene.scheduler.acquire_start("other")
    asking = asyncio.create_task(ask(adapter))
    await scene.snapshot_when(lambda now: now.waiting == 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await scene.snapshot_when(lambda now: now.waiting == 0)
    await scene.scheduler.release_handle(other)
    assert scene.provider.requests == []


async def test_more_at_once_than_the_loop_has_threads(make: Make) -> None:
    """Each call that has a slot has a thread: none waits twice."""
    adapter, scene = make(capacity=20)
    gate = threading.Event()
    scene.provider.default = Reply(gate=gate)
    asking = [asyncio.create_task(ask(adapter)) for _ in range(30)]
    await eventually(lambda: scene.provider.in_flight == 20)
    await scene.snapshot_when(lambda now: now.waiting == 10)
    gate.set()
    assert await asyncio.gather(*asking) == [TEXT] * 30
    assert scene.provider.peak == 20
    await scene.settled(slots=30)


async def test_errors(make: Make) -> None:
    """They come as without a scheduler: those of AWS, and refusals, before anything is sent."""
    adapter, scene = make(budget=BudgetPolicy(limits={"poor": 0}), timeout=0.3)
    scene.provider.script(Reply(status=400))
    with pytest.raises(ClientError, match="ValidationException"):
        await ask(adapter)
    with pytest.raises(BudgetExceededError):
        await adapter.converse("poor", model_id=Bedrock.model, messages=[])
    other = await scene.scheduler.acquire_start("other")
    with pytest.raises(AcquireTimeoutError):
        await ask(adapter)
    await scene.scheduler.release_handle(other)
    assert len(scene.provider.requests) == 1


async def test_in_the_loop(make: Make) -> None:
    """A plain call there would wait for itself, and says what to do instead."""
    adapter, scene = make()
    await scene.scheduler.snapshot()
    with pytest.raises(RuntimeError, match=r"asyncio\.to_thread"):
        adapter.client.converse(**Bedrock.arguments)
    with pytest.raises(RuntimeError, match=r"asyncio\.to_thread"):
        adapter.client.converse_stream(**Bedrock.arguments)
    assert scene.provider.requests == []


async def test_a_stream_in_a_thread(make: Make) -> None:
    """It is read where it was opened; dropped anywhere, it gives its slot back."""
    adapter, scene = make()
    await scene.scheduler.snapshot()

    def read() -> str:
        stream = adapter.client.converse_stream(**Bedrock.arguments)["stream"]
        return "".join(map(Bedrock.text_of_event, stream))

    assert await asyncio.to_thread(read) == TEXT
    await scene.settled(slots=1)
    scene.provider.script(Reply(gate=threading.Event(), gate_after=3))
    left = await asyncio.to_thread(adapter.client.converse_stream, **Bedrock.arguments)
    assert (await scene.scheduler.snapshot()).held == 1
    del left
    await scene.collected()
    await scene.released(slots=2)


async def test_in_a_slot_of_the_program(make: Make) -> None:
    """A call there uses it, and is added up on it."""
    adapter, scene = make()
    async with scene.scheduler.acquire(AGENT):
        assert await ask(adapter) == TEXT
    await scene.settled(slots=1)


@each
async def test_two_layers(make: Make, ask: Ask) -> None:
    """A scheduled client of a scheduled client: one slot, in whichever thread."""
    adapter, scene = make()
    await scene.scheduler.snapshot()
    twice = BedrockAdapter(scene.scheduler, adapter.client, prices=price)
    assert await ask(twice) == TEXT
    await scene.settled(slots=1)
