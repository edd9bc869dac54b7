"""Ending background tasks for certain."""

from __future__ import annotations

import asyncio
from typing import Any

_PATIENCE = 0.05
#: Seconds in which code of users may clean up before it is cancelled again.
UNWINDING = 5.0


async def end(*tasks: asyncio.Task[Any] | None, patience: float = _PATIENCE) -> None:
    """Cancel `tasks` and wait until all have ended; what they raise is nobody's concern any more.

    They are cancelled again after each `patience` seconds: on Python 3.11 a cancellation is lost in
    asyncio.wait_for, which redis-py uses, when it comes together with what is awaited. If the
    caller is cancelled meanwhile, as by another `end`, it is told once they have ended.
    """
    clock = asyncio.get_running_loop().time
    ending = [task for task in tasks if task is not None]
    left = {task for task in ending if not task.done()}
    interruption: asyncio.CancelledError | None = None
    while left:
        for task in left:
            task.cancel()
        again = clock() + patience
        while left and (pause := again - clock()) > 0:
            try:
                await asyncio.wait(left, timeout=pause)
            except asyncio.CancelledError as error:
                interruption = error
            left = {task for task in left if not task.done()}
    for task in ending:
        if not task.cancelled():
            task.exception()
    if interruption is not None:
        raise interruption
