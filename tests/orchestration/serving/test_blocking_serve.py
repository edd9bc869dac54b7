"""Serving a backlog by LOCOScheduler: from threads and plain code."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from loco_redis import LOCOScheduler, SharedResource, Task
from loco_redis._rows import TaskRow
from loco_redis.backoff import Backoff
from loco_redis.errors import (
    LeaseLostError,
    NoTaskError,
    ReentrantAcquireError,
    ResultNotKeptError,
    ShutdownError,
    TaskExpiredError,
    TaskFailedError,
    UnknownTaskError,
)
from tests.schedulers import dump_of
from tests.servers import Server
from tests.waiting import wait_until

AT_ONCE = Backoff(0.0, 0.0)


@pytest.fixture
def scheduler(server: Server) -> Iterator[LOCOScheduler]:
    with LOCOScheduler([], SharedResource("llm", 2), redis=server.url, lease_ttl=1.0) as scheduler:
        yield scheduler
    assert not dump_of(server).sessions
    assert not [t for t in threading.enumerate() if t.name.startswith("loco_redis")]


def test_a_task_is_served_and_its_result_read(scheduler: LOCOScheduler) -> None:
    """`with serve()` yields the lease of a task; `result` blocks until it is done elsewhere."""
    task_id = scheduler.submit_task("acme/a", payload=b"x", weight=2.5, result_ttl=60)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(scheduler.result, task_id, 10.0)
        with scheduler.serve(timeout=5.0) as lease:
            assert (lease.agent_id, lease.task.payload) == ("acme/a", b"x")
            assert (lease.task.task_id, lease.task.weight, lease.task.attempt) == (task_id, 2.5, 1)
            assert not asked.done()
            lease.complete({"of": "x"})
        assert asked.result(10.0) == {"of": "x"}
    assert scheduler.result(task_id) == {"of": "x"}


def test_a_body_that_raises_fails_the_task(scheduler: LOCOScheduler) -> None:
    """It is tried again, and dead after its attempts, with the last error for whoever waits."""
    task_id = scheduler.submit_task("a", max_attempts=2, backoff=AT_ONCE, result_ttl=60)
    for attempt in (1, 2):
        with suppress(ZeroDivisionError), scheduler.serve(timeout=5.0) as lease:
            assert lease.task.attempt == attempt
            _ = 1 / 0
    assert scheduler.snapshot().dead_tasks == 1
    with pytest.raises(TaskFailedError, match="ZeroDivisionError: division by zero"):
        scheduler.result(task_id)


def test_fail_says_when_to_try_again(scheduler: LOCOScheduler) -> None:
    """`lease.fail(retry_in=)` delays the next attempt; the body need not raise."""
    task_id = scheduler.submit_task("a", max_attempts=3)
    with scheduler.serve() as lease:
        lease.fail("busy", retry_in=3600.0)
    assert scheduler.snapshot().delayed_tasks == 1
    with pytest.raises(NoTaskError), scheduler.serve(timeout=0.0):
        pytest.fail("its time has not come")
    scheduler.cancel_task(task_id)


def test_an_interrupted_body_gives_its_task_back(scheduler: LOCOScheduler, server: Server) -> None:
    """Ctrl-C in the body is no failure: the task is queued with all its attempts left."""
    task_id = scheduler.submit_task("a", max_attempts=1)
    with pytest.raises(KeyboardInterrupt), scheduler.serve():
        raise KeyboardInterrupt
    (row,) = _tasks(server)
    assert (row.state, row.attempt) == ("Q", 0)
    with scheduler.serve() as lease:
        assert (lease.task.task_id, lease.task.attempt) == (task_id, 1)


def test_interrupted_while_it_waits(scheduler: LOCOScheduler) -> None:
    """Ctrl-C while waiting for a task withdraws the request."""

    def interrupt() -> None:
        wait_until(lambda: scheduler.snapshot().serving)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt), scheduler.serve():
        pytest.fail("there is no task")
    thread.join()
    wait_until(lambda: not scheduler.snapshot().serving)


def test_many_threads_serve(scheduler: LOCOScheduler) -> None:
    """Eight threads over two slots serve 60 tasks of five agents, each once, and end idle."""
    wanted = {scheduler.submit_task(f"agent-{n % 5}", payload=b"%d" % n) for n in range(60)}
    done, lock = list[str](), threading.Lock()

    def work() -> None:
        while True:
            try:
                with scheduler.serve(timeout=0.5) as lease, lock:
                    done.append(lease.task.task_id or "")
            except NoTaskError:
                return

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(work) for _ in range(8)]:
            future.result()
    assert sorted(done) == sorted(wanted)


def test_options(scheduler: LOCOScheduler) -> None:
    """All options of submit_task arrive as in the async form."""
    first = scheduler.submit_task("a", dedup_key="only one", not_before=time.time() + 3600)
    assert scheduler.submit_task("b", dedup_key="only one") == first
    scheduler.cancel_task(first)
    late = datetime.now(UTC) - timedelta(seconds=1)
    expired = scheduler.submit_task("a", deadline=late, result_ttl=60)
    with pytest.raises(TaskExpiredError):
        scheduler.result(expired, timeout=5.0)
    with pytest.raises(ValueError, match="give one of them"):
        scheduler.submit_task("a", delay=1.0, not_before=0.0)
    kept = scheduler.submit_task("a", Task(weight=1.0), delay=0.05)
    with pytest.raises(ResultNotKeptError):
        scheduler.result(kept)
    with scheduler.serve(timeout=5.0) as lease:
        assert lease.task.task_id == kept
    with pytest.raises(UnknownTaskError):
        scheduler.result(kept)
    asked = scheduler.submit_task("a", result_ttl=60, delay=3600)
    with pytest.raises(TimeoutError):
        scheduler.result(asked, timeout=0.05)
    scheduler.cancel_task(asked)


def test_nested(scheduler: LOCOScheduler, server: Server) -> None:
    """A serve inside another is an error, or shares its lease, whose task it cannot fail."""
    scheduler.submit_task("a")
    with scheduler.serve() as outer:
        with pytest.raises(ReentrantAcquireError), scheduler.serve():
            pytest.fail("nested")
        with suppress(ZeroDivisionError), scheduler.serve(nested="share") as inner:
            assert inner is outer
            _ = 1 / 0
    assert not _tasks(server)  # done


def test_shutdown_ends_those_that_wait(scheduler: LOCOScheduler) -> None:
    """Waiting servers, and threads that wait for a result, get ShutdownError."""
    task_id = scheduler.submit_task("a", delay=3600, result_ttl=60)
    with ThreadPoolExecutor(2) as pool:
        serving = pool.submit(scheduler.serve().__enter__)
        asking = pool.submit(scheduler.result, task_id)
        wait_until(lambda: scheduler.snapshot().serving)
        scheduler.cancel_task(task_id)
        with pytest.raises(UnknownTaskError):
            asking.result(10.0)
        scheduler.shutdown(timeout=0.0)
        with pytest.raises(ShutdownError):
            serving.result(10.0)


def test_a_lost_lease_keeps_its_task_for_others(scheduler: LOCOScheduler, server: Server) -> None:
    """Whoever has lost the slot completes nothing: the task is served again, with another token."""
    scheduler.submit_task("a", result_ttl=60)
    stale = scheduler.serve()
    lease = stale.__enter__()
    scheduler.operations.release(lease.token)
    wait_until(lambda: lease.lost)
    lease.complete("stale")
    with pytest.raises(LeaseLostError):
        stale.__exit__(None, None, None)
    with scheduler.serve(timeout=5.0) as again:
        assert again.token > lease.token
        again.complete("fresh")
    assert scheduler.result(again.task.task_id or "", 5.0) == "fresh"


def test_after_the_lease(scheduler: LOCOScheduler) -> None:
    """An outcome is said while the lease is held, and of a durable task only."""
    scheduler.submit_task("a")
    with scheduler.serve() as lease:
        with pytest.raises(ValueError, match="JSON value or bytes"):
            lease.complete(object())
        lease.complete(None)
    with pytest.raises(RuntimeError, match="has been released"):
        lease.complete(1)
    with scheduler.acquire("a", weight=1.0) as lease, pytest.raises(RuntimeError, match="nothing"):
        lease.fail("x")


def _tasks(server: Server) -> list[TaskRow]:
    return [TaskRow.parse(row) for row in dump_of(server).tasks.values()]
