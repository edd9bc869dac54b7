"""Jobs of the workers of these tests, in this process and in others."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from arq import func
from arq.connections import RedisSettings

import loco_redis as loco
from loco_redis.adapters.arq import ArqAdapter
from tests.frameworks.queue_workers import CAPACITY, OPTIONS, Marks, seen
from tests.schedulers import NAME

URL = os.environ.get("LOCO_TEST_URL", "")


def configure(url: str) -> None:
    loco.configure(capacity=CAPACITY, redis=url, resource_name=NAME, **OPTIONS)


def place(url: str) -> RedisSettings:
    return RedisSettings(unix_socket_path=url.removeprefix("unix://"))


async def look(ctx: dict[str, Any], *args: int) -> dict[str, Any]:
    async with loco.get_scheduler().acquire("other", nested="share") as inner:
        told = {"inner": inner.agent_id, "try": ctx["job_try"], "args": list(args)}
        return {**seen(), **told}


look.loco_agent = "by-attribute"  # type: ignore[attr-defined]
look.loco_weight = 3  # type: ignore[attr-defined]


async def unlabelled(ctx: dict[str, Any]) -> dict[str, Any]:
    return seen()


async def hold(ctx: dict[str, Any], url: str, name: str) -> str:
    marks = Marks(url, name)
    marks.enter()
    try:
        while not marks.is_let:  # noqa: ASYNC110  it is let by another process
            await asyncio.sleep(0.01)
    finally:
        marks.leave()
    return "held"


async def fail(ctx: dict[str, Any]) -> None:
    raise RuntimeError("of the body")


async def timed(ctx: dict[str, Any], url: str, name: str) -> None:
    await hold(ctx, url, name)


FUNCTIONS = [look, unlabelled, hold, fail, func(timed, name="timed", timeout=0.3)]


class WorkerSettings:
    """Of `python -m arq`."""

    adapter = ArqAdapter()
    functions = adapter.functions(FUNCTIONS)
    on_shutdown = adapter.on_shutdown
    redis_settings = place(URL)
    poll_delay = 0.02


if URL:
    configure(URL)
