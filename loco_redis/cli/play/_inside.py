"""The inside of a worker process: what it is told on stdin, what it says on stdout."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

_LONGEST_LINE = 1 << 20


class Parent:
    """The command that started this process, at the other end of the pipes."""

    def __init__(self) -> None:
        self._told: asyncio.Queue[Any] = asyncio.Queue()

    async def told(self) -> Any:
        """The next value it sends."""
        return await self._told.get()

    def say(self, event: str, **facts: object) -> None:
        """One line, at once: what was said before a SIGKILL still arrives."""
        line = json.dumps({"event": event, **facts}, separators=(",", ":"))
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    async def listen(self) -> None:
        """Return when the command has closed its end, or has itself ended."""
        stdin = asyncio.StreamReader(limit=_LONGEST_LINE)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
        async for line in stdin:
            if line.endswith(b"\n"):
                self._told.put_nowait(json.loads(line))


Work = Callable[[Parent], Coroutine[Any, Any, None]]


def run(work: Work) -> None:
    """Do the work of a worker process; an error becomes one line on stderr and exit status 1.

    The work is cancelled when its parent leaves, so that it gives back what it holds.
    """
    try:
        asyncio.run(_until_left(work))
    except Exception as error:  # noqa: BLE001  whatever it is, the command has to show it
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        sys.stderr.write(f"{type(error).__name__}: {' '.join(str(error).split())}\n")
        sys.exit(1)


async def _until_left(work: Work) -> None:
    parent = Parent()
    listening = asyncio.create_task(parent.listen(), name="parent")
    working = asyncio.create_task(work(parent), name="work")
    try:
        await asyncio.wait((listening, working), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (listening, working):
            task.cancel()
        await asyncio.wait((listening, working))
    for task in (listening, working):
        if not task.cancelled():
            task.result()
