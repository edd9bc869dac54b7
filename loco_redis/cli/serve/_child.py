"""One worker process of `loco-redis workers`, from without."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from typing import Any, Self

from loco_redis._shared_server import URL_VARIABLE

_INSIDE = "loco_redis.cli.serve._child_inside"


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker process serves, and where."""

    handlers: str  # module:name
    name: str  # of the resource
    url: str  # told by environment: a command line would show a password
    concurrency: int
    grace: float


class Child:
    """A process; `start` it, and await `ended`.

    It is in a session of its own, so that Ctrl-C reaches the command alone, and drains when its
    stdin ends, so that it does not outlive the command, however that ends.

    Attributes:
        is_ready: it serves.
        is_draining: it was told to end.
        was_killed: by `kill`.
        error: what it says it failed by.
        done, failed: handlers that returned and that raised, once it has ended.
    """

    def __init__(self, number: int, process: asyncio.subprocess.Process) -> None:
        self.number, self._process = number, process
        self.is_ready = self.is_draining = self.was_killed = False
        self.error: str | None = None
        self.done = self.failed = 0
        self._born = time.monotonic()

    def __repr__(self) -> str:
        state = "draining" if self.is_draining else "serving" if self.is_ready else "starting"
        return f"<Child {self.number} pid={self.pid} {state} exit={self._process.returncode}>"

    @classmethod
    async def start(cls, number: int, work: Work) -> Self:
        settings = {
            "handlers": work.handlers,
            "name": work.name,
            "concurrency": work.concurrency,
            "grace": work.grace,
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", _INSIDE, json.dumps(settings)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, URL_VARIABLE: work.url},
            start_new_session=True,
        )
        return cls(number, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._born

    async def became_ready(self) -> bool:
        """Whether it serves, once it does or has failed."""
        while not self.is_ready and (said := await self._said()):
            self._note(said)
        return self.is_ready

    async def ended(self) -> int:
        """Its exit status, below 0 for a signal, once it has ended."""
        while said := await self._said():
            self._note(said)
        return await self._process.wait()

    def drain(self) -> None:
        """SIGTERM: it takes no more tasks and ends with those at hand; twice: it cancels those."""
        self.is_draining = True
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self.was_killed = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def _said(self) -> dict[str, Any]:
        """The next that it says; empty at its end."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        # The last line of one that was killed may be cut off.
        found: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {}
        return found

    def _note(self, said: dict[str, Any]) -> None:
        event = said["event"]
        if event == "ready":
            self.is_ready = True
        elif event == "failed":
            self.error = said["error"]
        else:
            self.done, self.failed = said["done"], said["failed"]


def status_word(status: int) -> str:
    """`SIGKILL`, or `exit status 1`."""
    if status < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-status).name
    return f"exit status {status}"
