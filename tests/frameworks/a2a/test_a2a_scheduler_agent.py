"""The scheduler as an agent: what it shares out to agents that speak only A2A."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from a2a.client import A2ACardResolver, Client
from a2a.extensions.common import find_extension_by_uri
from a2a.helpers import new_message
from a2a.server.context import ServerCallContext
from a2a.types import (
    GetTaskRequest,
    ListTasksRequest,
    Role,
    SendMessageRequest,
    Task,
    TaskState,
    TaskStatus,
)
from a2a.utils.errors import A2AError
from google.protobuf.json_format import MessageToDict

from loco_redis.adapters.a2a import EXTENSION_URI, A2ASchedulerAgent, A2AScheduling
from loco_redis.adapters.a2a._events import data_part
from loco_redis.adapters.a2a._server import RecentTasks
from tests.frameworks.a2a.scene import Scene, cancel, send, start, state_of, text_of, until
from tests.schedulers import Schedulers
from tests.waiting import eventually

both = pytest.mark.parametrize("streaming", [False, True], ids=["unary", "streaming"])


def asking(skill: str, **said: Any) -> str:
    return json.dumps({"skill": skill, **said})


def data_of(task: Task) -> dict[str, Any]:
    return MessageToDict(task.status.message.parts[0].data)


async def holding(client: Client, **said: Any) -> str:
    """The id of a task that holds a slot."""
    task_id = await start(client, asking("acquire", **said))
    await until(client, task_id, TaskState.TASK_STATE_WORKING)
    return task_id


async def test_its_card_tells_an_agent_all_it_needs(scene: Scene, schedulers: Schedulers) -> None:
    agent = A2ASchedulerAgent(schedulers(), "http://scheduler.example/")
    transport = httpx.ASGITransport(agent.app)
    async with httpx.AsyncClient(transport=transport) as http:
        card = await A2ACardResolver(http, "http://scheduler.example").get_agent_card()
    assert card == agent.card
    assert [skill.id for skill in card.skills] == ["submit", "status", "acquire"]
    assert card.supported_interfaces[0].url == "http://scheduler.example/"
    assert card.capabilities.streaming
    assert find_extension_by_uri(card, EXTENSION_URI)
    assert "'llm' at http://scheduler.example/" in repr(agent)


@both
async def test_submit_queues_a_durable_task(
    scene: Scene, schedulers: Schedulers, streaming: bool
) -> None:
    scheduler = schedulers()
    client = await scene.serve_scheduler(scheduler, streaming)
    said = {"payload": {"doc": 7}, "max_attempts": 2, "dedup_key": "7", "result_ttl": 60}
    first = data_of(await send(client, asking("submit", agent="analyst", weight=2, **said)))
    again = data_of(await send(client, asking("submit", agent="analyst", weight=2, **said)))
    assert first == again == {**first, "agent": "analyst", "resource": "llm"}
    async with scheduler.serve(timeout=5) as lease:
        assert (lease.agent_id, lease.task.task_id) == ("analyst", first["task_id"])
        assert (lease.task.weight, lease.task.max_attempts) == (2.0, 2)
        assert json.loads(lease.task.payload or b"") == {"doc": 7}
        lease.complete("done")
    assert await scheduler.result(first["task_id"], timeout=5) == "done"


async def test_the_extension_names_the_agent_where_the_request_does_not(
    scene: Scene, schedulers: Schedulers
) -> None:
    scheduler = schedulers()
    client = await scene.serve_scheduler(scheduler)
    asked = A2AScheduling("analyst", slo="interactive")
    await send(client, asking("submit", payload="as it is"), asked)
    async with scheduler.serve(timeout=5) as lease:
        assert (lease.agent_id, lease.task.weight) == ("analyst", 4.0)
        assert lease.task.payload == b"as it is"


@both
@pytest.mark.parametrize("text", ["status", '{"skill": "status"}'])
async def test_status_shows_who_holds_who_waits_and_the_scores(
    scene: Scene, schedulers: Schedulers, streaming: bool, text: str
) -> None:
    scheduler = schedulers()
    client = await scene.serve_scheduler(scheduler, streaming)
    await holding(client, agent="one", seconds=3600)
    waiting = await start(client, asking("acquire", agent="two", weight=3))
    await eventually(lambda: schedulers.waiting() == 1)
    seen = data_of(await send(client, text))
    assert (seen["resource"], seen["capacity"], seen["held"], seen["waiting"]) == ("llm", 1, 1, 1)
    assert [holder["agent_id"] for holder in seen["holders"]] == ["one"]
    assert [(w["agent_id"], w["weight"]) for w in seen["waiters"]] == [("two", 3)]
    (two,) = (agent for agent in seen["agents"] if agent["agent_id"] == "two")
    assert two["score"] > 0
    assert not {"session", "request_id"} & seen["holders"][0].keys()
    for task in (waiting, await _holder(client, seen)):
        await cancel(client, task)


async def _holder(client: Client, seen: dict[str, Any]) -> str:
    """The A2A task that holds the slot with the token that the status shows."""
    for task in (await client.list_tasks(ListTasksRequest())).tasks:
        if state_of(task) == "WORKING":
            assert data_of(task)["token"] == seen["holders"][0]["token"]
            return task.id
    raise AssertionError("no task works")


@both
async def test_acquire_holds_a_slot_for_the_seconds_it_was_asked_for(
    scene: Scene, schedulers: Schedulers, streaming: bool
) -> None:
    scheduler = schedulers()
    client = await scene.serve_scheduler(scheduler, streaming)
    done = await send(client, asking("acquire", agent="analyst", seconds=0.1))
    assert state_of(done) == "COMPLETED"
    snapshot = await scheduler.snapshot()
    assert (snapshot.held, snapshot.released) == (0, 1)


async def test_acquire_ends_when_its_task_is_cancelled(
    scene: Scene, schedulers: Schedulers
) -> None:
    client = await scene.serve_scheduler(schedulers())
    task_id = await holding(client, agent="analyst", seconds=3600)
    held = data_of(await client.get_task(GetTaskRequest(id=task_id)))
    assert held == {**held, "resource": "llm", "slot": 0, "agent": "analyst", "seconds": 3600}
    assert state_of(await cancel(client, task_id)) == "CANCELED"
    await scene.at_rest()


async def test_the_next_acquire_waits_until_then_and_may_be_cancelled(
    scene: Scene, schedulers: Schedulers
) -> None:
    client = await scene.serve_scheduler(schedulers())
    first = await holding(client, agent="one", seconds=3600)
    second = await start(client, asking("acquire", agent="two"))
    third = await start(client, asking("acquire", agent="three"))
    await eventually(lambda: schedulers.waiting() == 2)
    assert state_of(await cancel(client, second)) == "CANCELED"
    await eventually(lambda: schedulers.waiting() == 1)
    await cancel(client, first)
    await until(client, third, TaskState.TASK_STATE_WORKING)
    await cancel(client, third)


@both
async def test_acquire_is_rejected_when_nothing_is_free_in_time(
    scene: Scene, schedulers: Schedulers, streaming: bool
) -> None:
    client = await scene.serve_scheduler(schedulers(), streaming)
    first = await holding(client, agent="one", seconds=3600)
    refused = await send(client, asking("acquire", agent="two", timeout=0.3))
    assert state_of(refused) == "REJECTED"
    assert "within 0.3 s" in text_of(refused)
    await cancel(client, first)


async def test_submit_says_why_it_is_refused(scene: Scene, schedulers: Schedulers) -> None:
    scheduler = schedulers()
    client = await scene.serve_scheduler(scheduler)
    await scheduler.shutdown()
    refused = await send(client, asking("submit", agent="analyst"))
    assert state_of(refused) == "REJECTED"
    assert "is shut down" in text_of(refused)


async def test_a_data_part_asks_the_same(scene: Scene, schedulers: Schedulers) -> None:
    client = await scene.serve_scheduler(schedulers())
    message = new_message([data_part({"skill": "status", "limit": 1})], role=Role.ROLE_USER)
    async for event in client.send_message(SendMessageRequest(message=message)):
        assert MessageToDict(event.message.parts[0].data)["capacity"] == 1


BAD = [
    ("hello there", "with a skill out of submit, status, acquire, got 'hello there'"),
    ("[1, 2]", "the first part must be an object"),
    (asking("sing"), "got 'sing'"),
    (asking("acquire", second=1), "acquire has no 'second': it has agent, weight, slo, sec"),
    (asking("acquire", seconds=3601), "seconds must be a number of seconds from 0 to 3600"),
    (asking("acquire", seconds="long"), "seconds must be a number"),
    (asking("acquire", timeout=-1), "timeout must be a number"),
    (asking("acquire", agent=["a"]), "agent id must be a str"),
    (asking("submit", weight=0), "weight must be a number"),
    (asking("submit", max_attempts=1.5), "max_attempts must be an int"),
    (asking("submit", delay="soon"), "delay must be a number"),
    (asking("submit", slo="gold"), "no SLO class 'gold'"),
    (asking("status", limit=1001), "limit must be an int from 0 to 1,000"),
]


async def test_what_cannot_be_understood_is_an_error_and_does_nothing(
    scene: Scene, schedulers: Schedulers
) -> None:
    scheduler = schedulers()
    client = await scene.serve_scheduler(scheduler)
    for text, why in BAD:
        with pytest.raises(A2AError, match=why):
            await send(client, text)
    snapshot = await scheduler.snapshot()
    assert (snapshot.granted, snapshot.durable_tasks) == (0, 0)


async def test_a_server_that_stops_frees_what_its_callers_hold(
    scene: Scene, schedulers: Schedulers
) -> None:
    scheduler = schedulers()
    client = await scene.serve_scheduler(scheduler)
    await holding(client, agent="analyst", seconds=3600)
    await client.close()
    await scene.stop()
    await scene.at_rest()


async def test_only_the_latest_ended_tasks_are_remembered() -> None:
    store, context = RecentTasks(2), ServerCallContext()
    runs = Task(id="runs", status=TaskStatus(state=TaskState.TASK_STATE_WORKING))
    await store.save(runs, context)
    for name in "abc":
        ended = Task(id=name, status=TaskStatus(state=TaskState.TASK_STATE_COMPLETED))
        await store.save(ended, context)
        await store.save(ended, context)
    kept = [name for name in ("runs", *"abc") if await store.get(name, context) is not None]
    assert kept == ["runs", "b", "c"]
