"""`loco-redis workers` for tests: the running command, what it says, and tasks for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis.observe import Link, Observer
from tests.cli.commands import Command, loco_redis
from tests.servers import Server
from tests.waiting import STARTED, eventually

HANDLERS = "tests.cli.serve.handlers"


class Workers:
    """The command, running with `--json`; its events are read as they come."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.process: subprocess.Popen[bytes] = command.start()
        self.events: list[dict[str, Any]] = []
        self.errors = bytearray()
        self._readers = [
            threading.Thread(target=self._hear, daemon=True),
            threading.Thread(target=self._hear_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _hear(self) -> None:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            self.events.append(json.loads(text))

    def _hear_errors(self) -> None:
        assert self.process.stderr is not None
        for text in self.process.stderr:
            self.errors.extend(text)

    def told(self, event: str) -> list[dict[str, Any]]:
        return [found for found in self.events if found["event"] == event]

    async def count(self, event: str, count: int, timeout: float = 20.0) -> list[dict[str, Any]]:
        """The events of a kind, once there are so many."""
        await eventually(
            lambda: len(self.told(event)) >= count,
            timeout,
            f"{count} x {event}: {self.events} {self.errors.decode()}",
        )
        return self.told(event)

    async def drains(self, number: signal.Signals, workers: int) -> None:
        """Told to end by a signal, so many workers take no more tasks."""
        self.process.send_signal(number)
        await self.count("draining", workers)

    async def ended(self, number: signal.Signals | None = None, timeout: float = 20.0) -> int:
        """Its exit status, after a signal if one is given; nothing is left running."""
        if number is not None:
            self.process.send_signal(number)
        await eventually(lambda: self.process.poll() is not None, timeout, f"end: {self.events}")
        for reader in self._readers:
            reader.join()
        self.command.assert_nothing_runs()
        return self.process.returncode


@contextlib.asynccontextmanager
async def running(
    url: str, capacity: int, *options: str, handlers: str = f"{HANDLERS}:handlers"
) -> AsyncIterator[tuple[AsyncLOCOScheduler, Workers]]:
    """A scheduler that submits, and the command."""
    resource = SharedResource("llm", capacity)
    async with AsyncLOCOScheduler(resource=resource, redis=url, lease_ttl=2) as scheduler:
        workers = Workers(
            loco_redis("workers", "-u", url, "--json", *options, "--every=100ms", handlers)
        )
        try:
            yield scheduler, workers
        finally:
            workers.process.kill()
            workers.process.wait()


class Gate:
    """A folder in which handlers say that they have begun, and look whether they may end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def begun(self, count: int) -> None:
        """So many have. A slot is held before that: its task may still be given back."""
        await eventually(
            lambda: len([*self.folder.glob("begun-*")]) == count, STARTED, f"{count} handlers begun"
        )

    def open(self) -> None:
        (self.folder / "open").touch()


async def submit(
    scheduler: AsyncLOCOScheduler, count: int, agent: str, gate: Gate | None = None
) -> list[str]:
    payload = str(gate.folder).encode() if gate is not None else None
    return [
        await scheduler.submit_task(agent, payload=payload, result_ttl=60) for _ in range(count)
    ]


async def results(scheduler: AsyncLOCOScheduler, tasks: list[str]) -> list[Any]:
    return list(await asyncio.gather(*(scheduler.result(task, timeout=30) for task in tasks)))


async def all_hold(server: Server, count: int) -> None:
    with Link(server.url) as link:
        observer = Observer(link, "llm")
        await eventually(lambda: observer.snapshot().held == count, STARTED, f"{count} slots held")
