"""A process of the soak that tells by lines of JSON: started, told, listened to, ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Self

ROOT = Path(__file__).parents[2]
Hear = Callable[[dict[str, Any]], None]
_MOST = 1 << 30  # an hour's findings are one line


class Talking:
    """`python -m <module> <arguments>`; `hear` is called with each line. `ended` is done when it
    has told everything."""

    def __init__(self, process: asyncio.subprocess.Process, hear: Hear) -> None:
        self._process, self._hear = process, hear
        self.pid = process.pid
        self.ended = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, module: str, *arguments: str, hear: Hear, log: IO[bytes]) -> Self:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            limit=_MOST,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": _path()},
        )
        return cls(process, hear)

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(line.encode() + b"\n")

    def hang_up(self) -> None:
        """End of its input, which is its end."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self.ended

    @property
    def rss(self) -> int:
        return rss(self.pid)

    async def _listen(self) -> int:
        """Until it ends; returns its exit code."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            if not line.endswith(b"\n"):
                break  # killed within a line
            self._hear(json.loads(line))
        return await self._process.wait()


def _path() -> str:
    return os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))


def rss(pid: int) -> int:
    """Bytes in memory; 0 of a process that is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
