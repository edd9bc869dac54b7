"""Jobs of arq hold slots, and give them back on every path."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis
from arq.cron import cron
from arq.jobs import Job

from loco_redis import AcquireTimeoutError, AsyncLOCOScheduler, SharedResource
from loco_redis.adapters.arq import ArqAdapter
from tests.frameworks.arq.arq_jobs import look, unlabelled
from tests.frameworks.arq.conftest import Start
from tests.frameworks.queue_workers import CAPACITY, LEASE, OPTIONS, Marks, Process, Slots
from tests.schedulers import NAME, dump_of
from tests.waiting import eventually


async def result(pool: ArqRedis, name: str, *args: Any, **kwargs: Any) -> Any:
    job = await pool.enqueue_job(name, *args, **kwargs)
    assert job is not None
    return await result_of(job)


async def result_of(job: Job) -> Any:
    """`job.result` of this version asks for the result and for the place in the queue one after the
    other, and finds none if the job ends between them."""
    async with asyncio.timeout(10):
        while (info := await job.result_info()) is None:  # noqa: ASYNC110  it is in Redis
            await asyncio.sleep(0.01)
    if isinstance(info.result, BaseException):
        raise info.result
    return info.result


async def test_jobs_run_in_slots_of_the_agents_that_are_named(pool: ArqRedis, start: Start) -> None:
    await start()
    own = await result(pool, "look", 1, 2)
    assert own["leases"] == [["by-attribute", 3.0, "look"]]
    assert (own["agent"], own["inner"], own["args"]) == ("by-attribute", "by-attribute", [1, 2])
    called = await result(pool, "look", loco_agent="caller", loco_weight=4)
    assert called["leases"] == [["caller", 4.0, "look"]]
    assert (await result(pool, "unlabelled"))["leases"] == [["unlabelled", 1.0, "unlabelled"]]
    with pytest.raises(RuntimeError, match="of the body"):
        await result(pool, "fail")
    with pytest.raises(ValueError, match="loco_weight must be a number"):
        await result(pool, "look", loco_weight="heavy")


async def test_a_job_that_opts_out_runs_without_a_slot(pool: ArqRedis, start: Start) -> None:
    await start()
    assert (await result(pool, "unlabelled", loco_agent=None))["leases"] == []


async def test_no_more_bodies_run_than_there_are_slots(
    slots: Slots, pool: ArqRedis, start: Start
) -> None:
    await start()
    url, marks = slots.server.url, Marks(slots.server.url, "many")
    jobs = [asyncio.create_task(result(pool, "hold", url, "many")) for _ in range(8)]
    await eventually(lambda: marks.number("running") == CAPACITY and slots.waiting() == 6)
    marks.let()
    assert await asyncio.gather(*jobs) == ["held"] * 8
    assert marks.number("peak") == CAPACITY


async def test_a_job_without_a_slot_in_time_is_deferred(
    slots: Slots, pool: ArqRedis, start: Start
) -> None:
    worker = await start(timeout=0.3, retry_in=0.05, agent_id="late")
    url, marks = slots.server.url, Marks(slots.server.url, "both")
    holders = [await pool.enqueue_job("hold", url, "both", loco_timeout=5) for _ in range(CAPACITY)]
    await eventually(lambda: marks.number("running") == CAPACITY)
    job = asyncio.create_task(result(pool, "unlabelled"))
    await eventually(lambda: worker.jobs_retried >= 6)  # arq gives up after five tries
    marks.let()
    assert (await job)["agent"] == "late"
    for holder in holders:
        assert holder is not None
        assert await result_of(holder) == "held"


async def test_it_fails_where_the_adapter_says_so(
    slots: Slots, pool: ArqRedis, start: Start
) -> None:
    await start(timeout=0.3, on_timeout="fail")
    async with full(slots):
        with pytest.raises(AcquireTimeoutError):
            await result(pool, "unlabelled")


class full:
    """All slots are held meanwhile."""

    def __init__(self, slots: Slots) -> None:
        resource = SharedResource(NAME, CAPACITY)
        self._scheduler = AsyncLOCOScheduler((), resource, redis=slots.server.url, **OPTIONS)

    async def __aenter__(self) -> None:
        for _ in range(CAPACITY):
            await self._scheduler.acquire_start("holder")

    async def __aexit__(self, *_: object) -> None:
        await self._scheduler.aclose()


@pytest.mark.parametrize("waits", [True, False])
async def test_a_timeout_or_an_abort_frees_the_slot_or_the_place_in_the_queue(
    slots: Slots, pool: ArqRedis, start: Start, waits: bool
) -> None:
    await start()
    url, marks = slots.server.url, Marks(slots.server.url, "ends")
    occupied = full(slots)
    if waits:
        await occupied.__aenter__()
    with pytest.raises(TimeoutError):
        await result(pool, "timed", url, "ends")
    assert slots.waiting() == 0
    job = await pool.enqueue_job("hold", url, "ends")
    assert job is not None
    if waits:
        await eventually(lambda: slots.waiting() == 1)
    else:
        await eventually(lambda: marks.number("running") == 1)
    await job.abort(timeout=10, poll_delay=0.01)
    with pytest.raises(asyncio.CancelledError):
        await result_of(job)
    assert slots.waiting() == 0
    assert marks.number("begun") == (0 if waits else 2)
    if waits:
        await occupied.__aexit__()
    assert slots.held() == 0


async def test_what_arq_makes_of_a_function_is_wrapped_too() -> None:
    adapter = ArqAdapter()
    job = adapter.wrap(cron(look, hour=1))
    assert job.name == "cron:look"
    assert job.coroutine is not look
    assert adapter.wrap(unlabelled).__qualname__ == "unlabelled"
    with pytest.raises(ValueError, match="function must be a coroutine function"):
        adapter.wrap(print)
    with pytest.raises(ValueError, match="on_timeout must be"):
        ArqAdapter(on_timeout="wait")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="scheduler must be"):
        ArqAdapter("redis://")  # type: ignore[arg-type]


@pytest.fixture
async def process(slots: Slots, tmp_path: Path) -> Any:
    """A worker's process."""
    command = ("arq", "tests.frameworks.arq.arq_jobs.WorkerSettings")
    worker = Process(tmp_path / "worker.log", *command, LOCO_TEST_URL=slots.server.url)
    yield worker
    worker.end()


async def test_a_worker_that_is_told_to_end_gives_its_slots_back(
    slots: Slots, pool: ArqRedis, process: Process
) -> None:
    url, marks = slots.server.url, Marks(slots.server.url, "ended")
    await pool.enqueue_job("hold", url, "ended")
    await eventually(lambda: marks.number("running") == 1)
    process.signal(signal.SIGTERM)
    await eventually(lambda: marks.number("running") == 0 and slots.held() == 0)
    await asyncio.to_thread(process.insist)
    assert slots.held() == 0
    assert slots.sessions() == 1  # this test's


async def test_a_process_killed_in_flight_loses_its_slot_when_its_lease_ends(
    slots: Slots, pool: ArqRedis, process: Process
) -> None:
    url, marks = slots.server.url, Marks(slots.server.url, "killed")
    await pool.enqueue_job("hold", url, "killed")
    await eventually(lambda: marks.number("running") == 1)
    process.signal(signal.SIGKILL)
    assert slots.held() == 1, dump_of(slots.server)
    assert await asyncio.to_thread(slots.at_rest, 3 * LEASE) > 0.1
