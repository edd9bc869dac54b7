"""Tasks of a user's agent, over real HTTP: each holds a slot exactly while its executor runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from a2a.types import TaskState
from a2a.utils.errors import A2AError

from loco_redis import BudgetPolicy, PolicyEnforcer, RatePolicy
from loco_redis.adapters.a2a import EXTENSION_URI, A2AScheduling
from tests.frameworks.a2a.scene import (
    Scene,
    cancel,
    request,
    send,
    start,
    state_of,
    text_of,
    until,
)
from tests.schedulers import Schedulers
from tests.waiting import eventually

both = pytest.mark.parametrize("streaming", [False, True], ids=["unary", "streaming"])


def why(error: Any) -> dict[str, Any]:
    return dict(error.status.message.metadata[EXTENSION_URI])


@both
async def test_a_task_is_done_in_a_slot(
    scene: Scene, schedulers: Schedulers, streaming: bool
) -> None:
    scheduler = schedulers()
    client = await scene.serve(scheduler, streaming, agent_id="greeter")
    done = await send(client, "hello")
    assert (state_of(done), done.artifacts[0].parts[0].text) == ("COMPLETED", "hello")
    await scene.at_rest()
    assert scene.inner.agents == ["greeter"]
    assert (await scheduler.snapshot()).released == 1


@both
async def test_the_request_names_the_agent_and_its_weight(
    scene: Scene, schedulers: Schedulers, streaming: bool
) -> None:
    scheduler = schedulers()
    client = await scene.serve(scheduler, streaming)
    asking = scene.ask(client, "hang", A2AScheduling("analyst", weight=3.0))
    await eventually(lambda: scene.inner.running)
    (holder,) = (await scheduler.snapshot()).holders
    assert (holder.agent_id, holder.weight) == ("analyst", 3.0)
    scene.inner.go.set()
    assert state_of(await asking) == "COMPLETED"
    assert scene.inner.agents == ["analyst"]


async def test_a_class_says_the_weight(scene: Scene, schedulers: Schedulers) -> None:
    scheduler = schedulers()
    client = await scene.serve(scheduler)
    asking = scene.ask(client, "hang", A2AScheduling(slo="interactive"))
    await eventually(lambda: scene.inner.running)
    (holder,) = (await scheduler.snapshot()).holders
    assert holder.weight == 4.0
    scene.inner.go.set()
    await asking


@both
async def test_an_executor_that_raises_frees_its_slot(
    scene: Scene, schedulers: Schedulers, streaming: bool
) -> None:
    client = await scene.serve(schedulers(), streaming)
    with pytest.raises(A2AError, match="boom"):
        await send(client, "fail")
    await scene.at_rest()
    assert state_of(await send(client, "hello")) == "COMPLETED"


async def test_a_task_cancelled_in_flight_frees_its_slot(
    scene: Scene, schedulers: Schedulers
) -> None:
    client = await scene.serve(schedulers())
    task_id = await start(client, "hang")
    await eventually(lambda: scene.inner.running)
    assert state_of(await cancel(client, task_id)) == "CANCELED"
    await scene.at_rest()
    assert scene.inner.cancelled == [task_id]


async def test_a_task_cancelled_while_it_waits_never_reaches_the_executor(
    scene: Scene, schedulers: Schedulers
) -> None:
    scheduler = schedulers()
    client = await scene.serve(scheduler)
    async with scheduler.acquire("other"):
        task_id = await start(client, "hello")
        await eventually(lambda: schedulers.waiting() == 1)
        assert state_of(await cancel(client, task_id)) == "CANCELED"
        await eventually(lambda: schedulers.waiting() == 0)
    await scene.at_rest()
    assert (scene.inner.agents, scene.inner.cancelled) == ([], [])


async def test_the_executor_hears_of_the_end_of_a_task_that_it_knows(
    scene: Scene, schedulers: Schedulers
) -> None:
    """One that has asked its client, and waits for a slot with the answer."""
    scheduler = schedulers()
    client = await scene.serve(scheduler)
    asked = await send(client, "ask")
    async with scheduler.acquire("other"):
        scene.ask(client, "hello", task_id=asked.id, context_id=asked.context_id)
        await eventually(lambda: schedulers.waiting() == 1)
        assert state_of(await cancel(client, asked.id)) == "CANCELED"
    assert scene.inner.cancelled == [asked.id]


async def test_many_tasks_of_one_agent_share_the_slots(
    scene: Scene, schedulers: Schedulers
) -> None:
    client = await scene.serve(schedulers(capacity=3), agent_id="greeter")
    done = await asyncio.gather(*(send(client, "hello") for _ in range(40)))
    assert {state_of(task) for task in done} == {"COMPLETED"}
    assert scene.inner.peak <= 3
    assert len(scene.inner.agents) == 40


@pytest.mark.parametrize("waits", [False, True], ids=["in flight", "waiting"])
async def test_a_stream_that_is_left_ends_nothing_and_leaks_nothing(
    scene: Scene, schedulers: Schedulers, waits: bool
) -> None:
    """A2A lets a client come back for its task: it goes on, and its slot is freed at its end."""
    scheduler = schedulers()
    client = await scene.serve(scheduler, streaming=True)
    blocker = await scheduler.acquire_start("other") if waits else None
    task_id = ""
    async for event in client.send_message(request("hang")):
        task_id = event.task.id
        break
    await client.close()  # the connection goes, too
    if blocker is not None:
        await eventually(lambda: schedulers.waiting() == 1)
        await scheduler.release_handle(blocker)
    await eventually(lambda: scene.inner.running)
    scene.inner.go.set()
    await scene.at_rest()
    assert task_id
    assert (await scheduler.snapshot()).released == 1 + waits


async def test_a_client_that_hangs_up_ends_nothing_and_leaks_nothing(
    scene: Scene, schedulers: Schedulers
) -> None:
    client = await scene.serve(schedulers())
    asking = scene.ask(client, "hang")
    await eventually(lambda: scene.inner.running)
    asking.cancel()
    await client.close()
    scene.inner.go.set()
    await scene.at_rest()


async def test_what_the_executor_calls_uses_the_slot_of_its_task(
    scene: Scene, schedulers: Schedulers
) -> None:
    scheduler = schedulers(capacity=1)

    async def call() -> None:
        async with scheduler.acquire("analyst", nested="share") as lease:
            await lease.settle(7.0)

    scene.inner.inside = call
    client = await scene.serve(scheduler)
    assert state_of(await send(client, "hello", A2AScheduling("analyst"))) == "COMPLETED"
    await scene.at_rest()
    assert await scheduler.metrics.total_cost() == 7.0
    assert (await scheduler.snapshot()).granted == 1


async def test_no_slot_in_time_rejects_the_task(scene: Scene, schedulers: Schedulers) -> None:
    scheduler = schedulers()
    client = await scene.serve(scheduler, timeout=0.3)
    async with scheduler.acquire("other"):
        refused = await send(client, "hello")
        assert state_of(refused) == "REJECTED"
        assert "no slot of 'llm' for agent 'default' within 0.3 s" in text_of(refused)
        assert why(refused) == {"error": "AcquireTimeoutError"}
        by_class = await send(client, "hello", A2AScheduling(slo="hasty"))
        assert why(by_class) == {"error": "AcquireTimeoutError"}
    assert scene.inner.agents == []


@both
async def test_a_full_queue_rejects_the_task(
    scene: Scene, schedulers: Schedulers, streaming: bool
) -> None:
    scheduler = schedulers(max_waiters=1)
    client = await scene.serve(scheduler, streaming)
    async with scheduler.acquire("other"):
        waiting = scene.ask(client, "hello")
        await eventually(lambda: schedulers.waiting() == 1)
        refused = await send(client, "hello")
        assert (state_of(refused), why(refused)) == ("REJECTED", {"error": "BackpressureError"})
    assert state_of(await waiting) == "COMPLETED"


async def test_a_budget_rejects_the_task(scene: Scene, schedulers: Schedulers) -> None:
    scheduler = schedulers(budget=BudgetPolicy(default_limit=1.0))
    client = await scene.serve(scheduler)
    refused = await send(client, "hello", A2AScheduling(weight=2.0))
    assert (state_of(refused), why(refused)) == ("REJECTED", {"error": "BudgetExceededError"})
    assert "2.0 more was asked for" in text_of(refused)


async def test_a_rate_says_when_to_come_again(scene: Scene, schedulers: Schedulers) -> None:
    enforcer = PolicyEnforcer([RatePolicy(default_limit=1, period=10.0)])
    client = await scene.serve(schedulers(enforcer=enforcer))
    await send(client, "hello")
    refused = await send(client, "hello")
    assert state_of(refused) == "REJECTED"
    assert 0 < why(refused)["retryAfter"] <= 10


@pytest.mark.parametrize("announce", [False, True], ids=["quiet", "announced"])
@pytest.mark.parametrize("text", ["message", "whole"])
@both
async def test_whatever_form_the_answer_has_it_arrives(
    scene: Scene, schedulers: Schedulers, streaming: bool, text: str, announce: bool
) -> None:
    """An announced task turns a Message, or a Task sent as a whole, into what it may still be."""
    client = await scene.serve(schedulers(), streaming, announce=announce)
    done = await send(client, text)
    parts = done.artifacts[0].parts if text == "whole" else done.status.message.parts
    assert parts[0].text == "hello"
    assert (text, announce) == ("message", False) or state_of(done) == "COMPLETED"


async def test_quiet_tasks_are_refused_too(scene: Scene, schedulers: Schedulers) -> None:
    scheduler = schedulers()
    client = await scene.serve(scheduler, announce=False, timeout=0.3)
    async with scheduler.acquire("other"):
        assert state_of(await send(client, "message")) == "REJECTED"


async def test_a_refused_answer_does_not_end_a_task_that_asked(
    scene: Scene, schedulers: Schedulers
) -> None:
    scheduler = schedulers()
    client = await scene.serve(scheduler, timeout=0.3)
    asked = await send(client, "ask")
    assert state_of(asked) == "INPUT_REQUIRED"
    again = {"task_id": asked.id, "context_id": asked.context_id}
    async with scheduler.acquire("other"):
        refused = await send(client, "hello", **again)
        assert (state_of(refused), why(refused)) == (
            "INPUT_REQUIRED",
            {"error": "AcquireTimeoutError"},
        )
    wrong = await send(client, "hello", A2AScheduling(slo="none of these"), **again)
    assert (state_of(wrong), why(wrong)) == ("INPUT_REQUIRED", {"error": "ValueError"})
    done = await send(client, "hello", **again)
    assert state_of(done) == "COMPLETED"


BAD: list[tuple[Any, str]] = [
    ({"agnet": "analyst"}, "has 'agnet': it may have agent, weight, slo"),
    ({"weight": "heavy"}, r"weight must be a number from 1 to 1e\+09, got 'heavy'"),
    ({"weight": 0}, "weight must be a number"),
    ({"agent": ""}, "agent id must not be empty"),
    ({"agent": 7}, "agent id must be a str"),
    ({"slo": "gold"}, "no SLO class 'gold': there is 'hasty', 'interactive'"),
    ("analyst", "must be an object"),
]


@both
async def test_bad_metadata_are_an_error_before_anything_is_acquired(
    scene: Scene, schedulers: Schedulers, streaming: bool
) -> None:
    scheduler = schedulers()
    client = await scene.serve(scheduler, streaming)
    for said, text in BAD:
        with pytest.raises(A2AError, match=text):
            async for _ in client.send_message(request("hello", {EXTENSION_URI: said})):
                pass
    assert scene.inner.agents == []
    assert (await scheduler.snapshot()).granted == 0


async def test_the_server_decides_what_a_client_gets(scene: Scene, schedulers: Schedulers) -> None:
    def decide(context: Any, asked: A2AScheduling) -> A2AScheduling:
        if asked.agent_id == "admin":
            raise ValueError("nobody is admin here")
        return A2AScheduling(f"guest:{asked.agent_id}", min(asked.weight or 1.0, 2.0))

    scheduler = schedulers()
    client = await scene.serve(scheduler, decide=decide)
    await send(client, "hello", A2AScheduling("analyst", weight=1e6))
    assert scene.inner.agents == ["guest:analyst"]
    with pytest.raises(A2AError, match="nobody is admin here"):
        await send(client, "hello", A2AScheduling("admin"))


async def test_a_lost_lease_fails_the_task(scene: Scene, schedulers: Schedulers) -> None:
    scheduler = schedulers()
    client = await scene.serve(scheduler)
    task_id = await start(client, "hang")
    await eventually(lambda: scene.inner.running)
    (holder,) = (await scheduler.snapshot()).holders
    await scheduler.operations.release(holder.token)
    await until(client, task_id, TaskState.TASK_STATE_FAILED)
    await eventually(lambda: not scene.inner.running)
