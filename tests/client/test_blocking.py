"""LOCOScheduler: the same for threads and plain code."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path

import pytest

from loco_redis import (
    AcquireTimeoutError,
    Agent,
    BackendUnavailableError,
    LeaseLostError,
    LOCOScheduler,
    SharedResource,
    ShutdownError,
    Task,
)
from loco_redis._loop_thread import LoopThread
from tests.schedulers import dump_of
from tests.servers import Server
from tests.waiting import wait_until


@pytest.fixture
def scheduler(server: Server) -> Iterator[LOCOScheduler]:
    resource = SharedResource("llm", 2)
    with LOCOScheduler([Agent("known")], resource, redis=server.url, lease_ttl=1.0) as scheduler:
        yield scheduler
    assert not dump_of(server).holders
    assert not dump_of(server).sessions
    assert not [t for t in threading.enumerate() if t.name.startswith("loco_redis")]


def test_lease(scheduler: LOCOScheduler) -> None:
    """with yields a lease whose settle() blocks; costs are read without await."""
    with scheduler.acquire("a", weight=3.0, timeout=5.0) as lease:
        assert (lease.slot, lease.agent_id, lease.task.weight) == (0, "a", 3.0)
        assert repr(lease).startswith("<BlockingLease llm slot=0")
        lease.settle(2.5)
    assert lease.released
    with pytest.raises(ZeroDivisionError), scheduler.acquire("a"):
        _ = 1 / 0
    assert scheduler.metrics.cost_by_agent() == {"a": 2.5}
    assert scheduler.metrics.agent_cost("a") == scheduler.metrics.total_cost() == 2.5


def test_all_methods(scheduler: LOCOScheduler) -> None:
    """Tasks, agents, snapshots, handles and changes work as in the async form."""
    task_id = scheduler.submit_task("batch", Task(payload=b"x"))
    with scheduler.acquire("batch") as lease:
        assert (lease.task.task_id, lease.task.payload) == (task_id, b"x")
    scheduler.cancel_task(scheduler.submit_task("batch"))
    scheduler.register_agent(Agent("x", "t"))
    assert scheduler.get_agent("x").agent_type == "t"
    for name in ("x", "known"):
        scheduler.unregister_agent(name)
    handle = scheduler.acquire_start("a")
    assert handle.lease.slot == 0
    scheduler.release_handle(handle)
    scheduler.release_handle(handle)
    assert scheduler.reconfigure(capacity=3) == 2
    snapshot = scheduler.snapshot()
    assert (snapshot.capacity, snapshot.released) == (3, 2)
    assert scheduler.name == "llm"
    assert str(scheduler.session_id) in repr(scheduler)
    assert scheduler.url.startswith("unix://")


def test_many_threads_share_one(scheduler: LOCOScheduler) -> None:
    """16 threads pass 160 times; at most two are inside at once."""
    inside, peak, lock = 0, 0, threading.Lock()

    def work(index: int) -> None:
        nonlocal inside, peak
        for _ in range(10):
            with scheduler.acquire(f"agent-{index % 4}"):
                with lock:
                    inside += 1
                    peak = max(peak, inside)
                with lock:
                    inside -= 1

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert peak <= 2
    assert scheduler.snapshot().released == 160


def test_timeout_and_shutdown(scheduler: LOCOScheduler) -> None:
    """Errors are raised in the calling thread; waiters of other threads get ShutdownError."""
    handles = [scheduler.acquire_start("a") for _ in range(2)]
    with pytest.raises(AcquireTimeoutError):
        scheduler.acquire_start("b", timeout=0.05)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(scheduler.acquire_start, "b")
        wait_until(lambda: scheduler.snapshot().waiters)
        assert scheduler.shutdown(timeout=0.0) == {"cancelled_waiters": 1, "active_holders": 2}
        with pytest.raises(ShutdownError):
            waiting.result()
    for handle in handles:
        scheduler.release_handle(handle)


def test_interrupted_waiter_leaves_the_queue(scheduler: LOCOScheduler) -> None:
    """Ctrl-C while waiting for a slot withdraws the request."""
    handles = [scheduler.acquire_start("a") for _ in range(2)]
    interrupt = threading.Thread(target=_interrupt_when, args=(scheduler,))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt), scheduler.acquire("b"):
        pytest.fail("both slots are taken")
    interrupt.join()
    wait_until(lambda: not scheduler.snapshot().waiters)
    for handle in handles:
        scheduler.release_handle(handle)
    assert not scheduler.snapshot().holders


def test_interrupts_at_any_moment_leak_nothing(scheduler: LOCOScheduler) -> None:
    """Ctrl-C around the moment of the grant, or of the release: whatever was won is given back."""
    for turn in range(100):
        timer = threading.Timer(0.00001 * turn, _interrupt)
        try:
            timer.start()
            with scheduler.acquire("a", timeout=5.0):
                pass
            timer.join()
            wait_until(lambda: False, what="the interrupt")
        except KeyboardInterrupt:
            timer.join()
        wait_until(lambda: not scheduler.snapshot().holders)


def test_lost_lease_is_told_on_leaving(scheduler: LOCOScheduler, server: Server) -> None:
    """A thread cannot be cancelled: it sees `lost`, and leaving raises LeaseLostError."""
    with pytest.raises(LeaseLostError):  # noqa: PT012  the block under test is the body
        with scheduler.acquire("a") as lease:
            server.client.flushall()
            wait_until(lambda: lease.lost)


def test_call_from_a_callback_is_refused(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """A callback that would wait for its own thread gets an error instead of a deadlock."""

    def started(lease: object) -> None:
        other.snapshot()

    resource = SharedResource("llm", 1)
    with LOCOScheduler([], resource, redis=server.url, on_task_started=started) as other:
        with other.acquire("a"):
            pass
    assert "would wait for itself" in caplog.text


def test_closing_twice_and_unused(server: Server) -> None:
    """close() may be called at any time, any number of times."""
    scheduler = LOCOScheduler([], SharedResource("llm", 1), redis=server.url)
    scheduler.close()
    scheduler.close()
    with pytest.raises(ShutdownError):
        scheduler.snapshot()
    scheduler.close()


def _interrupt_when(scheduler: LOCOScheduler) -> None:
    wait_until(lambda: scheduler.snapshot().waiters)
    _interrupt()


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_closing_while_threads_wait(redis_url: str) -> None:
    """Each of them gets ShutdownError, none another error, and none hangs."""
    for _ in range(20):
        scheduler = LOCOScheduler(resource=SharedResource("llm", 1), redis=redis_url)
        errors: list[Exception] = []

        def wait(scheduler: LOCOScheduler = scheduler, errors: list = errors) -> None:
            try:
                with scheduler.acquire("waiter"):
                    pass
            except Exception as caught:  # noqa: BLE001  whatever it is
                errors.append(caught)

        handle = scheduler.acquire_start("holder", nested="allow")
        threads = [threading.Thread(target=wait) for _ in range(8)]
        for thread in threads:
            thread.start()
        wait_until(lambda scheduler=scheduler: scheduler.snapshot().waiting == 8)
        scheduler.close()
        for thread in threads:
            thread.join(10.0)
            assert not thread.is_alive()
        assert handle.lease.lost
        assert [type(error) for error in errors] == [ShutdownError] * 8


def test_no_job_outlives_its_loop() -> None:
    """A thread that waits for one when the loop is stopped is told, and does not wait for ever."""
    loop = LoopThread("test")
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(loop.run, asyncio.Event().wait())
        wait_until(lambda: loop.running and asyncio.all_tasks(loop.start()))
        loop.stop()
        with pytest.raises(CancelledError):
            waiting.result(timeout=10.0)


def test_ended_thread_does_not_start_again() -> None:
    """Who leaves a body while another thread closes the scheduler gets ShutdownError; no thread is
    started that nobody would end."""
    loop = LoopThread("test")
    loop.run(asyncio.sleep(0))
    loop.end()
    with pytest.raises(ShutdownError):
        loop.run(asyncio.sleep(0))
    assert not loop.running


def test_failed_opening_leaves_no_thread_and_can_be_tried_again(
    redis_url: str, tmp_path: Path
) -> None:
    """Nobody leaves a `with` that was not entered."""
    path = tmp_path / "redis.sock"
    scheduler = LOCOScheduler(
        [], SharedResource("llm", 1), redis=f"unix://{path}", backend_timeout=0.2
    )
    with pytest.raises(BackendUnavailableError), scheduler:
        pytest.fail("it was opened")
    assert not [t for t in threading.enumerate() if t.name.startswith("loco_redis.")]
    path.symlink_to(redis_url.removeprefix("unix://"))
    with scheduler, scheduler.acquire("a"):
        pass
