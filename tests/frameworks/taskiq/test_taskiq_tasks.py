"""Tasks of taskiq hold slots, and give them back on every path."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator
from typing import Any

import pytest
from taskiq import InMemoryBroker, SimpleRetryMiddleware, TaskiqDepends, TaskiqResult

from loco_redis import AcquireTimeoutError, BackpressureError, get_scheduler
from loco_redis.adapters.taskiq import LOCOTaskiqMiddleware
from tests.frameworks.queue_workers import CAPACITY, Marks, Slots
from tests.frameworks.taskiq.taskiq_jobs import register
from tests.waiting import eventually

KINDS = ["hold", "hold_plain"]


class Here:
    """A broker that runs its tasks in this process."""

    def __init__(self, **options: Any) -> None:
        self.broker = InMemoryBroker(sync_tasks_pool_size=16)
        middleware = LOCOTaskiqMiddleware(**{"retry_in": 0.02, **options})
        register(self.broker.with_middlewares(SimpleRetryMiddleware(), middleware))

    async def send(self, name: str, *args: Any, **labels: Any) -> Any:
        task = self.broker.find_task(name)
        assert task is not None
        return await task.kicker().with_labels(**labels).kiq(*args)

    async def run(self, name: str, *args: Any, **labels: Any) -> TaskiqResult[Any]:
        return await result_of(await self.send(name, *args, **labels))


async def result_of(task: Any) -> TaskiqResult[Any]:
    result: TaskiqResult[Any] = await task.wait_result(check_interval=0.01, timeout=10)
    return result


@pytest.fixture
async def here(slots: Slots) -> AsyncIterator[Here]:
    here = Here()
    yield here
    await here.broker.shutdown()


@pytest.mark.parametrize("name", ["look", "look_plain"])
async def test_tasks_run_in_slots_of_the_agents_that_their_labels_name(
    here: Here, name: str
) -> None:
    own = (await here.run(name)).return_value
    assert own["leases"] == [["from-labels", 3.0, name]]
    assert (own["agent"], own["inner"]) == ("from-labels", "from-labels")
    called = (await here.run(name, loco_agent="caller", loco_weight="4")).return_value
    assert called["leases"] == [["caller", 4.0, name]]
    wrong = await here.run(name, loco_weight="heavy")
    assert "loco_weight must be a number" in str(wrong.error)


@pytest.mark.parametrize("name", ["unlabelled", "plain"])
async def test_without_the_label_it_is_the_task_or_as_the_middleware_says(
    slots: Slots, here: Here, name: str
) -> None:
    assert (await here.run(name)).return_value["leases"] == [[name, 1.0, name]]
    assert (await here.run(name, loco_agent=None)).return_value["leases"] == []
    batch = Here(agent_id="batch", weight=2)
    assert (await batch.run(name)).return_value["leases"] == [["batch", 2.0, name]]
    await batch.broker.shutdown()


@pytest.mark.parametrize("name", KINDS)
async def test_no_more_bodies_run_than_there_are_slots(slots: Slots, here: Here, name: str) -> None:
    url, marks = slots.server.url, Marks(slots.server.url, name)
    tasks = [await here.send(name, url, name) for _ in range(8)]
    await eventually(lambda: marks.number("running") == CAPACITY and slots.waiting() == 6)
    marks.let()
    for task in tasks:
        assert (await result_of(task)).return_value == "held"
    assert marks.number("peak") == CAPACITY


async def test_errors_and_retries_free_the_slot(slots: Slots, here: Here) -> None:
    assert "of the body" in str((await here.run("fail_plain")).error)
    url = slots.server.url
    result = await here.run("fail", url, "failed", retry_on_error=True, max_retries=3)
    assert "of the body" in str(result.error)
    assert Marks(url, "failed").number("begun") == 3


async def test_a_timeout_frees_the_slot_or_the_place_in_the_queue(slots: Slots, here: Here) -> None:
    url, marks = slots.server.url, Marks(slots.server.url, "timed")
    result = await here.run("hold", url, "timed", timeout=0.1)
    assert isinstance(result.error, TimeoutError)
    assert (marks.number("begun"), slots.held()) == (1, 0)
    scheduler = get_scheduler()
    handles = [await scheduler.acquire_start("other") for _ in range(CAPACITY)]
    result = await here.run("hold", url, "timed", timeout=0.1)
    assert isinstance(result.error, TimeoutError)
    assert (marks.number("begun"), slots.waiting()) == (1, 0)
    for handle in handles:
        await scheduler.release_handle(handle)


@pytest.mark.parametrize("name", ["unlabelled", "plain"])
async def test_a_task_without_a_slot_in_time_goes_to_the_end_of_its_queue(
    slots: Slots, here: Here, name: str
) -> None:
    scheduler = get_scheduler()
    handles = [await scheduler.acquire_start("other") for _ in range(CAPACITY)]
    seen: list[dict[str, Any]] = []
    kick = here.broker.kick

    async def kick_and_count(message: Any) -> None:
        seen.append(message.labels)
        await kick(message)

    here.broker.kick = kick_and_count  # type: ignore[method-assign]
    # A retry policy has nothing to do with it.
    task = await here.send(name, loco_timeout=0.3, retry_on_error=True, max_retries=1)
    await eventually(lambda: len(seen) > 3)
    for handle in handles:
        await scheduler.release_handle(handle)
    assert (await result_of(task)).return_value["agent"] == name


@pytest.mark.parametrize("name", ["unlabelled", "plain"])
async def test_it_fails_where_the_middleware_says_so(slots: Slots, name: str) -> None:
    here = Here(on_timeout="fail", timeout=0.3)
    scheduler = get_scheduler()
    handles = [await scheduler.acquire_start("other") for _ in range(CAPACITY)]
    assert isinstance((await here.run(name)).error, AcquireTimeoutError)
    await scheduler.reconfigure(max_waiters=0)
    assert isinstance((await here.run(name, loco_timeout=None)).error, BackpressureError)
    for handle in handles:
        await scheduler.release_handle(handle)
    await here.broker.shutdown()


async def test_a_function_that_another_task_calls_runs_in_that_ones_slot(here: Here) -> None:
    called = (await here.run("calls_another")).return_value
    assert called["leases"] == [["calls_another", 1.0, "calls_another"]]


async def test_a_plain_function_must_do_its_work_itself(here: Here) -> None:
    result = await here.run("returns_awaitable")
    assert "make it `async def`" in str(result.error)
    task = here.broker.find_task("plain")
    assert task is not None
    await here.run("plain")
    with pytest.raises(TypeError, match="process pool"):
        pickle.dumps(task.original_func)


def depended() -> int:
    return 42


async def test_dependencies_and_types_of_the_arguments_are_kept(here: Here) -> None:
    async def needs(number: int, depends: int = TaskiqDepends(depended)) -> list[Any]:
        return [number, depends]

    def needs_plain(number: int, depends: int = TaskiqDepends(depended)) -> list[Any]:
        return [number, depends]

    for function in (needs, needs_plain):  # known to the broker, not to its receiver
        here.broker.register_task(function, task_name=function.__name__.split("__")[0])
    for name in ("needs", "needs_plain"):
        assert (await here.run(name, "1")).return_value == [1, 42]
    assert (await here.run("look", "5")).return_value["number"] == 5


def test_bad_options_are_refused() -> None:
    with pytest.raises(ValueError, match="scheduler must be"):
        LOCOTaskiqMiddleware("redis://")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a LOCOScheduler, a function"):
        LOCOTaskiqMiddleware(blocking_scheduler="redis://")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_timeout must be"):
        LOCOTaskiqMiddleware(on_timeout="wait")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="retry_in"):
        LOCOTaskiqMiddleware(retry_in=-1)
    with pytest.raises(ValueError, match="agent id"):
        LOCOTaskiqMiddleware(agent_id="")


async def test_a_task_that_is_cancelled_gives_its_slot_back(slots: Slots, here: Here) -> None:
    url, marks = slots.server.url, Marks(slots.server.url, "cancelled")
    await here.send("hold", url, "cancelled")
    await eventually(lambda: marks.number("running") == 1)
    for task in here.broker._running_tasks:
        task.cancel()
    await eventually(lambda: slots.held() == 0)
