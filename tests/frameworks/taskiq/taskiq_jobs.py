"""Tasks of these tests, and the broker of the worker processes that they start."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from taskiq import AsyncBroker, SimpleRetryMiddleware
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

import loco_redis as loco
from loco_redis.adapters.taskiq import LOCOTaskiqMiddleware
from tests.frameworks.queue_workers import CAPACITY, OPTIONS, Marks, seen
from tests.schedulers import NAME

URL = os.environ.get("LOCO_TEST_URL", "")


def configure(url: str) -> None:
    loco.configure(capacity=CAPACITY, redis=url, resource_name=NAME, **OPTIONS)


async def look(number: int = 0) -> dict[str, Any]:
    async with loco.get_scheduler().acquire("other", nested="share") as inner:
        return {**seen(), "inner": inner.agent_id, "number": number}


def look_plain() -> dict[str, Any]:
    with loco.get_blocking_scheduler().acquire("other", nested="share") as inner:
        return {**seen(), "inner": inner.agent_id}


async def unlabelled() -> dict[str, Any]:
    return seen()


def plain() -> dict[str, Any]:
    return seen()


async def hold(url: str, name: str) -> str:
    marks = Marks(url, name)
    marks.enter()
    try:
        while not marks.is_let:  # noqa: ASYNC110  it is let by another process
            await asyncio.sleep(0.01)
    finally:
        marks.leave()
    return "held"


def hold_plain(url: str, name: str) -> str:
    Marks(url, name).hold()
    return "held"


async def fail(url: str, name: str) -> None:
    Marks(url, name).enter()
    raise RuntimeError("of the body")


def fail_plain() -> None:
    raise RuntimeError("of the body")


def returns_awaitable() -> Any:
    return unlabelled()


async def calls_another() -> dict[str, Any]:
    return await unlabelled_task()


LABELS: dict[str, dict[str, Any]] = {
    "look": {"loco_agent": "from-labels", "loco_weight": 3},
    "look_plain": {"loco_agent": "from-labels", "loco_weight": 3},
}
_ALL = (look, look_plain, unlabelled, plain, hold, hold_plain, fail, fail_plain)
# taskiq renames a function each time that it is registered.
FUNCTIONS = {function.__name__: function for function in (*_ALL, returns_awaitable, calls_another)}
unlabelled_task: Any = None


def register(broker: AsyncBroker) -> AsyncBroker:
    """All tasks, by their functions' names."""
    global unlabelled_task
    for name, function in FUNCTIONS.items():
        task = broker.register_task(function, task_name=name, **LABELS.get(name, {}))
        if name == "unlabelled":
            unlabelled_task = task
    return broker


def broker_of(url: str) -> AsyncBroker:
    """A list in Redis. (A worker of taskiq-redis' streams does not end when it is told to.)"""
    made = ListQueueBroker(url=url, queue_name="jobs")
    made = made.with_result_backend(RedisAsyncResultBackend(redis_url=url))
    return register(made.with_middlewares(SimpleRetryMiddleware(), LOCOTaskiqMiddleware()))


#: Of `taskiq worker`.
if URL:
    configure(URL)
    broker = broker_of(URL)
