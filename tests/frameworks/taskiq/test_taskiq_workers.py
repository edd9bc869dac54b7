"""The same in worker processes, over a list in Redis."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from taskiq import AsyncBroker

from tests.frameworks.queue_workers import CAPACITY, LEASE, Marks, Process, Slots
from tests.frameworks.taskiq.taskiq_jobs import broker_of
from tests.waiting import eventually

Start = Callable[..., Process]


@pytest.fixture
async def client(slots: Slots) -> AsyncIterator[AsyncBroker]:
    broker = broker_of(slots.server.url)
    await broker.startup()
    yield broker
    await broker.shutdown()


@pytest.fixture
async def start(slots: Slots, tmp_path: Path) -> AsyncIterator[Start]:
    made = []

    def start(*arguments: str) -> Process:
        module = "tests.frameworks.taskiq.taskiq_jobs:broker"
        command = ("taskiq", "worker", module, "--shutdown-timeout", "5", *arguments)
        worker = Process(tmp_path / "worker.log", *command, LOCO_TEST_URL=slots.server.url)
        made.append(worker)
        return worker

    yield start
    for worker in made:
        worker.end()


async def send(client: AsyncBroker, name: str, *args: Any, **labels: Any) -> Any:
    task = client.find_task(name)
    assert task is not None
    return await task.kicker().with_labels(**labels).kiq(*args)


async def value(task: Any) -> Any:
    return (await task.wait_result(check_interval=0.01, timeout=10)).return_value


async def test_two_processes_share_the_slots(
    slots: Slots, client: AsyncBroker, start: Start
) -> None:
    worker = start("--workers", "2", "--max-async-tasks", "4")
    url, marks = slots.server.url, Marks(slots.server.url, "shared")
    tasks = [await send(client, name, url, "shared") for name in ("hold", "hold_plain") * 3]
    await eventually(lambda: marks.number("running") == CAPACITY and slots.waiting() >= 2, 20)
    marks.let()
    for task in tasks:
        assert await value(task) == "held"
    assert marks.number("peak") == CAPACITY
    labelled = await value(await send(client, "look", loco_agent="caller", loco_timeout=1.5))
    assert labelled["leases"] == [["caller", 3.0, "look"]]
    assert (await value(await send(client, "plain", loco_agent=None)))["leases"] == []
    await asyncio.to_thread(worker.terminate)
    assert slots.sessions() == 1, "workers close their schedulers; this test has one"


async def test_a_worker_that_is_told_to_end_ends_its_tasks_first(
    slots: Slots, client: AsyncBroker, start: Start
) -> None:
    worker = start("--workers", "1")
    url, marks = slots.server.url, Marks(slots.server.url, "ended")
    tasks = [await send(client, name, url, "ended") for name in ("hold", "hold_plain")]
    await eventually(lambda: marks.number("running") == 2, 20)
    worker.signal(signal.SIGTERM)
    await eventually(lambda: "Stopping prefetching" in worker.log.read_text())
    marks.let()
    for task in tasks:
        assert await value(task) == "held"
    await asyncio.to_thread(worker.wait)
    assert (slots.held(), slots.sessions()) == (0, 1)


async def test_one_that_does_not_wait_for_its_tasks_gives_their_slots_back(
    slots: Slots, client: AsyncBroker, start: Start
) -> None:
    worker = start("--workers", "1", "--wait-tasks-timeout", "0.1")
    url, marks = slots.server.url, Marks(slots.server.url, "left")
    await send(client, "hold", url, "left")
    await eventually(lambda: marks.number("running") == 1, 20)
    await asyncio.to_thread(worker.terminate)
    assert (slots.held(), slots.sessions()) == (0, 1)


async def test_a_process_killed_in_flight_loses_its_slot_when_its_lease_ends(
    slots: Slots, client: AsyncBroker, start: Start
) -> None:
    worker = start("--workers", "1")
    url, marks = slots.server.url, Marks(slots.server.url, "killed")
    await send(client, "hold", url, "killed")
    await eventually(lambda: marks.number("running") == 1, 20)
    worker.end()  # SIGKILL to the manager and its worker
    assert slots.held() == 1
    assert await asyncio.to_thread(slots.at_rest, 3 * LEASE) > 0.1
