"""Waiting for facts instead of sleeping and hoping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

#: Seconds in which processes have started, on a machine with other work.
STARTED = 60.0

_PAUSE = 0.005


def wait_until(predicate: Callable[[], object], timeout: float = 10.0, what: str = "") -> None:
    """Return once `predicate()` is true; fail after `timeout` seconds, naming what was awaited."""
    deadline = time.monotonic() + timeout
    while not predicate():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what or predicate}"
        time.sleep(_PAUSE)


async def eventually(
    predicate: Callable[[], object], timeout: float = 10.0, what: str = ""
) -> None:
    """`wait_until` for tests that run in an event loop, which goes on turning meanwhile."""
    deadline = time.monotonic() + timeout
    while not predicate():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what or predicate}"
        await asyncio.sleep(_PAUSE)
