"""AgentScheduler: for code without an event loop."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from loco_redis.errors import ForkedError, ShutdownError, TaskFailedError
from loco_redis.orchestration.agents import (
    AgentCall,
    AgentScheduler,
    AgentSection,
    ReplyTimeoutError,
)
from tests.orchestration.agents.configs import SAMPLE, config
from tests.waiting import wait_until


def upper(message: str, call: AgentCall) -> str:
    return message.upper()


def no_threads() -> bool:
    return not [t for t in threading.enumerate() if t.name.startswith("loco_redis.")]


def test_the_quick_start_works_with_the_sample(redis_url: str, tmp_path: Path) -> None:
    """The five lines of the system that it stands in for, its file with `redis` for `kafka`."""
    path = tmp_path / "config.yaml"
    path.write_text(SAMPLE.replace("redis://localhost:6379/0", "${TEST_REDIS:-" + redis_url + "}"))
    scheduler = AgentScheduler(config_path=path, handlers={"*": upper})
    scheduler.start()
    response = scheduler.send_message(agent_id="agent1", message="Hello, world!")
    scheduler.stop()
    assert response == "HELLO, WORLD!"
    wait_until(no_threads)


def test_many_threads_share_one(redis_url: str) -> None:
    """Each gets its own reply."""
    with AgentScheduler(config(), handlers={"echo": upper}, redis=redis_url) as scheduler:
        with ThreadPoolExecutor(8) as threads:
            texts = [f"text {n}" for n in range(100)]
            replies = threads.map(lambda text: scheduler.send_message("echo", text), texts)
            assert [*replies] == [text.upper() for text in texts]


def test_errors_reach_the_sender(redis_url: str) -> None:
    """The handler's, a timeout, and those of one that is not started or is stopped."""
    over = threading.Event()

    def handle(message: str, call: AgentCall) -> Any:
        if message == "wait":
            over.wait(10)
            return None
        raise ValueError(message)

    made = config(AgentSection(id="bad", max_attempts=1))
    scheduler = AgentScheduler(made, handlers={"*": handle}, redis=redis_url)
    with pytest.raises(RuntimeError, match="not started"):
        scheduler.send_message("bad", "x")
    with scheduler:
        with pytest.raises(TaskFailedError, match="ValueError: x"):
            scheduler.send_message("bad", "x", timeout=10)
        with pytest.raises(ReplyTimeoutError):
            scheduler.send_message("bad", "wait", timeout=0.1)
        over.set()
    with pytest.raises(ShutdownError):
        scheduler.send_message("bad", "x")
    with pytest.raises(ShutdownError):
        scheduler.start()


def test_who_stops_it_again_waits_for_the_first(redis_url: str) -> None:
    """So that the thread does not end under the one that drains."""
    begun, over = threading.Event(), threading.Event()

    def handle(message: str, call: AgentCall) -> str:
        begun.set()
        over.wait(10)
        return message

    scheduler = AgentScheduler(config(), handlers={"echo": handle}, redis=redis_url)
    scheduler.start()
    with ThreadPoolExecutor(3) as threads:
        sending = threads.submit(scheduler.send_message, "echo", "x")
        begun.wait(10)
        stops = [threads.submit(scheduler.stop) for _ in range(2)]
        assert not any(stop.done() for stop in stops)
        over.set()
        assert sending.result(20) == "x"
        assert [stop.result(20) for stop in stops] == [None, None]


def test_a_handler_in_a_thread_may_send_itself(redis_url: str) -> None:
    """It holds its own lane meanwhile."""
    made = config(AgentSection(id="front"), lanes=(2, 2))

    def front(message: str, call: AgentCall) -> str:
        return f"<{scheduler.send_message('echo', message, timeout=10)}>"

    handlers = {"echo": upper, "front": front}
    with AgentScheduler(made, handlers=handlers, redis=redis_url) as scheduler:
        assert scheduler.send_message("front", "x", timeout=10) == "<X>"


def test_an_async_handler_that_would_wait_for_itself_is_told(redis_url: str) -> None:
    """It runs in the scheduler's own thread, where a blocking call could never end."""

    async def handle(message: str, call: AgentCall) -> Any:
        return scheduler.send_message("echo", message)

    made = config(AgentSection(id="a", max_attempts=1))
    handlers = {"echo": upper, "a": handle}
    with AgentScheduler(made, handlers=handlers, redis=redis_url) as scheduler:
        with pytest.raises(TaskFailedError, match="would wait for itself"):
            scheduler.send_message("a", "x", timeout=10)


def test_a_start_that_fails_leaves_nothing(redis_url: str) -> None:
    """Another capacity than the stored one: an error, no thread, and it may be tried again."""
    with AgentScheduler(config(capacity=5), serve=False, redis=redis_url):
        other = AgentScheduler(config(capacity=6), serve=False, redis=redis_url)
        for _ in range(2):
            with pytest.raises(Exception, match="capacity is 5 in Redis but 6"):
                other.start()
    wait_until(no_threads)


def test_a_forked_child_is_told(redis_url: str) -> None:
    """Instead of waiting for a thread that only its parent has."""
    with AgentScheduler(config(), handlers={"echo": upper}, redis=redis_url) as scheduler:
        assert scheduler.send_message("echo", "x", timeout=10) == "X"
        child = os.fork()
        if child == 0:
            try:
                scheduler.send_message("echo", "x", timeout=10)
            except ForkedError:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
