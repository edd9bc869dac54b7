"""Schedulers on the embedded server, which they share and end."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import pytest

from loco_redis import AsyncLOCOScheduler, LOCOScheduler, SharedResource


async def test_no_redis_means_an_embedded_server(caplog: pytest.LogCaptureFixture) -> None:
    """Without URL and variables one is started, with a line of warning; it ends with its users."""
    caplog.set_level(logging.WARNING, "loco_redis")
    one = AsyncLOCOScheduler([], SharedResource("llm", 1))
    two = AsyncLOCOScheduler([], SharedResource("llm"), redis="embedded://")
    assert caplog.text.count("embedded server") == 1
    async with one:
        path = os.environ["LOCO_REDIS_URL"].removeprefix("unix://")
        async with two:
            assert len((await two.snapshot()).sessions) == 2
            async with one.acquire("a"):
                pass
        assert path in _sockets()
        assert (await one.snapshot()).released == 1
    assert path not in _sockets()
    assert "LOCO_REDIS_URL" not in os.environ


def _sockets() -> list[str]:
    """Of all embedded servers that run."""
    return [str(path) for path in Path(tempfile.gettempdir()).glob("loco-redis-*/*.sock")]


def test_blocking_form() -> None:
    """It works in plain code, too, and can be started again."""
    for _ in range(2):
        with LOCOScheduler([], SharedResource("llm", 1), redis="embedded://") as scheduler:
            with scheduler.acquire("a"):
                pass
            assert scheduler.snapshot().released == 1
