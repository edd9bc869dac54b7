"""What a task queue is asked to do, and the processes that some of them are served by."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Protocol


class Tool(Protocol):
    """A queue of jobs, each of which is `marks.job(seconds)` or its async twin."""

    async def submit(self, seconds: float) -> object:
        """Queue one job."""

    def serving(self, count: int) -> AbstractAsyncContextManager[object]:
        """A worker that serves jobs until it is left; `count` will come in all."""


@asynccontextmanager
async def running(work: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """A worker in this event loop until it is left; told to end more than once where it has missed
    that."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        for _ in range(10):
            task.cancel()
            if (await asyncio.wait([task], timeout=1))[0]:
                break
        else:
            raise TimeoutError("a worker does not end")


@asynccontextmanager
async def command(*arguments: str, **environment: str) -> AsyncIterator[None]:
    """`python -m ...`, and the processes that it starts, until it is left."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | environment,
        start_new_session=True,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            async with asyncio.timeout(2):
                await process.wait()
        except TimeoutError:  # some do not end, all of whose jobs are done
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
