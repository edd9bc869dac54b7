"""Ending a background task for certain."""

from __future__ import annotations

import asyncio
from typing import Any

_PATIENCE = 0.05


async def end(task: asyncio.Task[Any] | None) -> None:
    """Cancel `task` and wait for its end; what it raises is nobody's concern any more.

    It is cancelled until it ends: on Python 3.11 a cancellation is lost in asyncio.wait_for, which
    redis-py uses, when it comes together with what is awaited.
    """
    while task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_PATIENCE)
    if task is not None and not task.cancelled():
        task.exception()
