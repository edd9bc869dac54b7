"""`scheduler.worker(...)`: how it stops."""

from __future__ import annotations

import asyncio

import pytest

from loco_redis.errors import ShutdownError
from loco_redis.lease import Lease
from tests.orchestration.serving.backlog import apart, ids
from tests.orchestration.serving.processes import Processes, processes
from tests.schedulers import Schedulers
from tests.waiting import eventually

__all__ = ["processes"]


async def test_stopping_lets_handlers_end(schedulers: Schedulers) -> None:
    """No task is begun after `stop`, those at hand are done, and `run` returns then."""
    go, began = asyncio.Event(), []

    async def slow(lease: Lease) -> str:
        began.append(lease.task.task_id)
        await go.wait()
        return "done"

    async with schedulers(4) as scheduler:
        worker = scheduler.worker({"*": slow}, concurrency=2)
        tasks = [await scheduler.submit_task("a", result_ttl=60) for _ in range(4)]
        run = apart(worker.run())
        await eventually(lambda: len(began) == 2)
        worker.stop()
        assert "stopping" in repr(worker)
        await eventually(lambda: schedulers.waiting() == 0)
        assert not run.done()
        go.set()
        await asyncio.wait_for(run, 10)
        assert began == tasks[:2]
        assert [await scheduler.result(task, timeout=5) for task in began] == ["done"] * 2
        for task in tasks[2:]:
            await scheduler.cancel_task(task)
    assert "done=2 failed=0" in repr(worker)


@pytest.mark.parametrize("how", ["grace", "second stop"])
async def test_handlers_that_do_not_end(schedulers: Schedulers, how: str) -> None:
    """After the grace, or on a second stop, they are cancelled; their tasks go back, and no attempt
    is counted."""
    began = asyncio.Event()

    async def forever(lease: Lease) -> None:
        began.set()
        await asyncio.Event().wait()

    async with schedulers() as scheduler:
        task_id = await scheduler.submit_task("a", max_attempts=1)
        worker = scheduler.worker({"*": forever}, grace=0.1 if how == "grace" else 60)
        run = apart(worker.run())
        await began.wait()
        worker.stop()
        if how == "second stop":
            worker.stop()
        await asyncio.wait_for(run, 10)
        async with scheduler.serve(timeout=0) as lease:
            assert (lease.task.task_id, lease.task.attempt) == (task_id, 1)


async def test_sigterm_drains_a_process(schedulers: Schedulers, processes: Processes) -> None:
    """A worker process that is told to end finishes what it has begun, leaves the rest, and exits
    well; nothing of it stays behind."""
    async with schedulers(4) as scheduler:
        tasks = [
            await scheduler.submit_task("a", payload=b"0.3", max_attempts=1, result_ttl=60)
            for _ in range(3)
        ]
        process = processes("1", "30")
        process.expect("began")
        process.terminate()
        process.expect("ended")
        assert process.expect("stopped")["done"] == 1
        assert process.end() == 0
        assert await scheduler.result(tasks[0]) == "0.3"
        assert sorted(ids(schedulers)) == sorted(tasks[1:])
        assert (await scheduler.snapshot()).live_sessions == 1
        for task in tasks[1:]:
            await scheduler.cancel_task(task)


async def test_closing_the_scheduler_ends_the_worker(schedulers: Schedulers) -> None:
    """By a ShutdownError: a worker does not close what it was not given to close."""
    async with schedulers() as scheduler:
        run = apart(scheduler.worker({"*": print}).run())
        await eventually(lambda: schedulers.waiting() == 8)
    with pytest.raises(ShutdownError):
        await asyncio.wait_for(run, 10)


async def test_cancelled_handlers_clean_up(schedulers: Schedulers) -> None:
    """All of them, and to the end, before `run` ends; then nothing is held."""
    began, clean = [], []

    async def forever(lease: Lease) -> None:
        began.append(lease.task.task_id)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.3)
            clean.append(lease.task.task_id)

    async with schedulers(3) as scheduler:
        tasks = [await scheduler.submit_task("a") for _ in range(3)]
        run = apart(scheduler.worker({"*": forever}, concurrency=6).run())
        await eventually(lambda: len(began) == 3)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(run, 10)
        assert sorted(clean) == sorted(tasks)
        assert schedulers.held() == 0
        for task in tasks:
            await scheduler.cancel_task(task)


async def test_cancelling_run_ends_it_at_once(schedulers: Schedulers) -> None:
    """Handlers are cancelled and awaited, whatever the grace."""
    began = asyncio.Event()

    async def forever(lease: Lease) -> None:
        began.set()
        await asyncio.Event().wait()

    async with schedulers() as scheduler:
        task_id = await scheduler.submit_task("a")
        run = apart(scheduler.worker({"*": forever}).run())
        await began.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(run, 5)
        await scheduler.cancel_task(task_id)
