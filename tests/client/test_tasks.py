"""Durable tasks: they outlive who submitted them, and whoever failed to serve them."""

from __future__ import annotations

import asyncio

import pytest

from loco_redis import AsyncLOCOScheduler, Task, TaskRunningError, UnknownTaskError
from loco_redis.models import decode_body, encode_body
from tests.schedulers import Schedulers
from tests.waiting import eventually

FULL = Task(
    weight=2.5,
    task_type="anthropic:sonnet",
    payload=b"line\n\x00\xff",
    max_attempts=7,
    labels={"input": "confidential"},
    session_id="s",
    team="growth",
    workflow="weekly",
    model="opus",
)


async def test_durable_task_comes_back_whole(any_schedulers: Schedulers) -> None:
    """Whoever serves the agent gets the task as it was submitted, with its id and attempt."""
    async with any_schedulers() as scheduler:
        task_id = await scheduler.submit_task("batch", FULL)
        assert (await scheduler.get_agent("batch")).queue_depth_weighted == 2.5
        async with any_schedulers() as other, other.acquire("batch") as lease:
            served = lease.task
            assert (served.task_id, served.attempt) == (task_id, 1)
            assert served.payload == FULL.payload
            assert served.labels == FULL.labels
            assert served.max_attempts == 7
            assert (served.weight, served.task_type, served.model) == (2.5, FULL.task_type, "opus")
            assert any_schedulers.dump().bodies
        assert not any_schedulers.dump().bodies
        assert await scheduler.metrics.cost_by_agent() == {"batch": 2.5}


async def test_open_requests_serve_the_oldest_task_first(schedulers: Schedulers) -> None:
    """Tasks of one agent are served in the order of their submission, then implicit ones."""
    async with schedulers() as scheduler:
        ids = [await scheduler.submit_task("a", Task(weight=w)) for w in (1.0, 9.0, 3.0)]
        served = []
        for _ in range(4):
            async with scheduler.acquire("a") as lease:
                served.append((lease.task.task_id, lease.task.weight))
        assert served == [*zip(ids, (1.0, 9.0, 3.0), strict=True), (None, 1.0)]


async def test_failed_body_completes_its_task(schedulers: Schedulers) -> None:
    """A body that raises has had its attempt: its task is not served again, nothing is charged."""
    async with schedulers() as scheduler:
        await scheduler.submit_task("a")
        with pytest.raises(ValueError, match="no luck"):
            async with scheduler.acquire("a"):
                raise ValueError("no luck")
        assert not schedulers.dump().tasks
        assert await scheduler.metrics.cost_by_agent() == {}


async def test_task_of_a_closed_holder_goes_back_and_dies_at_last(schedulers: Schedulers) -> None:
    """It keeps its place, counts its attempts, and is listed as dead after the last."""
    async with schedulers() as watcher:
        task_id = await watcher.submit_task("a", Task(payload=b"x", max_attempts=2))
        for attempt in (1, 2):
            async with schedulers() as holder:
                handle = await holder.acquire_start("a")
                assert (handle.lease.task.task_id, handle.lease.task.attempt) == (task_id, attempt)
        assert handle.lease.lost
        assert (await watcher.snapshot()).dead_tasks == 1
        assert list(schedulers.dump().dead) == [task_id.encode()]
        await watcher.cancel_task(task_id)
        assert (await watcher.snapshot()).dead_tasks == 0


async def test_tasks_without_limit_never_die(schedulers: Schedulers) -> None:
    """max_attempts=0 means as often as it takes."""
    async with schedulers() as watcher:
        await watcher.submit_task("a", Task(max_attempts=0))
        for attempt in range(1, 6):
            async with schedulers() as holder:
                handle = await holder.acquire_start("a")
                assert handle.lease.task.attempt == attempt
        async with watcher.acquire("a") as lease:
            assert lease.task.attempt == 6


async def test_withdrawn_grant_does_not_count_as_an_attempt(schedulers: Schedulers) -> None:
    """A waiter of a durable task that is cancelled leaves the task as it was."""
    async with schedulers() as scheduler:
        handle = await scheduler.acquire_start("holder")
        await scheduler.submit_task("a")
        waiter = asyncio.create_task(scheduler.acquire_start("a"))
        await eventually(lambda: schedulers.waiting() == 1)
        waiter.cancel()
        await scheduler.release_handle(handle)
        with pytest.raises(asyncio.CancelledError):
            await waiter
        async with scheduler.acquire("a") as lease:
            assert lease.task.attempt == 1


async def test_cancel_task(schedulers: Schedulers) -> None:
    """A queued task can be taken away; a running or unknown one gives a typed error."""
    async with schedulers() as scheduler:
        first, second = [await scheduler.submit_task("a") for _ in range(2)]
        await scheduler.cancel_task(first)
        async with scheduler.acquire("a") as lease:
            assert lease.task.task_id == second
            with pytest.raises(TaskRunningError):
                await scheduler.cancel_task(second)
        for gone in (first, second, "nonsense"):
            with pytest.raises(UnknownTaskError) as caught:
                await scheduler.cancel_task(gone)
            assert isinstance(caught.value, ValueError)


async def test_waiter_whose_task_is_cancelled_is_served_anyway(schedulers: Schedulers) -> None:
    """An open request that loses its durable task gets an implicit one of weight 1."""
    async with schedulers() as scheduler:
        handle = await scheduler.acquire_start("holder")
        task_id = await scheduler.submit_task("a", Task(weight=5.0))
        waiter = asyncio.create_task(scheduler.acquire_start("a"))
        await eventually(lambda: schedulers.waiting() == 1)
        await scheduler.cancel_task(task_id)
        await scheduler.release_handle(handle)
        served = await waiter
        assert served.lease.task == Task(weight=1.0)
        await scheduler.release_handle(served)


async def test_newer_body_is_refused_and_given_back(schedulers: Schedulers) -> None:
    """A task of an unknown format raises, and the slot it won is free again."""
    async with schedulers() as scheduler:
        task_id = await scheduler.submit_task("a", Task(payload=b"x"))
        key = scheduler._session.scripts.keys.bodies  # type: ignore[union-attr]
        schedulers.server.client.hset(key, task_id, b"9???")
        with pytest.raises(ValueError, match="newer version"):
            await scheduler.acquire_start("a")
        await eventually(lambda: schedulers.held() == 0)
        await scheduler.cancel_task(task_id)


@pytest.mark.parametrize(
    "task", [Task(), FULL, Task(payload=b""), Task(labels={}), Task(max_attempts=0)], ids=repr
)
def test_body_round_trip(task: Task) -> None:
    """What is encoded is decoded; a task of defaults takes no bytes."""
    body = encode_body(task)
    assert decode_body(body, Task(weight=task.weight)) == task
    assert (body == b"") == (task == Task())


@pytest.mark.parametrize(
    "fields",
    [
        {"weight": 0.99},
        {"weight": float("nan")},
        {"weight": True},
        {"payload": "text"},
        {"payload": b"x" * ((1 << 20) + 1)},
        {"max_attempts": -1},
        {"max_attempts": 1.5},
        {"team": 7},
        {"labels": {"a": 1}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_bad_task_fails_when_made(fields: dict[str, object]) -> None:
    """A Task that could not be sent cannot be made."""
    with pytest.raises(ValueError):
        Task(**fields)  # type: ignore[arg-type]


def test_payload_is_not_shown() -> None:
    """The repr of a task tells the size of its payload only."""
    assert repr(Task(weight=2.0, payload=b"secret")) == "Task(weight=2.0, payload=<6 bytes>)"


def test_texts_of_a_task_are_limited() -> None:
    """64 KiB of labels and attribution, no more."""
    with pytest.raises(ValueError, match="payload"):
        encode_body(Task(labels={f"label {n}": "x" * 500 for n in range(140)}))
    with pytest.raises(ValueError, match="512"):
        Task(team="x" * 513)


async def test_task_submitted_to_nobody_waits(schedulers: Schedulers) -> None:
    """The default task has weight 1 and queues for an agent that need not be registered."""
    async with schedulers() as scheduler:
        await scheduler.submit_task("new")
        agent = await scheduler.get_agent("new")
        assert (agent.queued, agent.waiting, agent.registered) == (1, 0, False)
        await _drain(scheduler, "new")


async def _drain(scheduler: AsyncLOCOScheduler, agent: str) -> None:
    async with scheduler.acquire(agent):
        pass
