"""Worker processes seen from the command that starts them: one JSON value a line, both ways.

The Redis URL goes by environment, never by command line, where credentials would be public. A
worker is in a session of its own, so that Ctrl-C reaches the command alone; it ends when its stdin
does, so that it cannot outlive the command, however that ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Self, TypeVar

from loco_redis._shared_server import URL_VARIABLE

_LONGEST_LINE = 1 << 20
_KEPT_STDERR = 4096
_END_TIMEOUT = 5.0

Message = dict[str, Any]
T = TypeVar("T")


class WorkerFailedError(RuntimeError):
    """A worker ended that should not have; the message says how."""


class Worker:
    """One running worker. Start it with `start`, end it with `end_all`.

    Attributes:
        killed: by `kill`, so that its end is no failure.
        ready: set when it has said "ready".
        silent: set when all that it said has been heard.
    """

    def __init__(self, number: int, process: asyncio.subprocess.Process) -> None:
        self.number = number
        self.name = f"worker-{number}"
        self.killed = False
        self.ready = asyncio.Event()
        self.silent = asyncio.Event()
        self._process = process
        self._said = bytearray()
        self._listening = asyncio.create_task(self._keep_stderr(), name=f"{self.name}.stderr")

    @classmethod
    async def start(cls, number: int, module: str, url: str) -> Self:
        """Run `python -m module` with `url` as its Redis."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, URL_VARIABLE: url},
            limit=_LONGEST_LINE,
            start_new_session=True,
        )
        return cls(number, process)

    def __repr__(self) -> str:
        return f"<Worker {self.name} pid={self.pid} exit={self._process.returncode}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    async def tell(self, *values: object) -> None:
        """Send values, one a line."""
        assert self._process.stdin is not None
        # One that has just ended is found by `heard`, which knows why it did.
        with contextlib.suppress(ConnectionError):
            self._process.stdin.writelines(_line(value) for value in values)
            await self._process.stdin.drain()

    async def heard(self) -> AsyncIterator[Message]:
        """What the worker says, until it ends.

        Raises:
            WorkerFailedError: it ended with an error and was not killed by this command.
        """
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            # The last line of one that was killed may be cut off.
            if line.endswith(b"\n"):
                yield json.loads(line)
        status = await self._process.wait()
        await self._listening
        if status and not self.killed:
            said = self._said.decode(errors="replace").strip().splitlines()
            raise WorkerFailedError(
                f"{self.name} (pid {self.pid}) ended with {_shown(status)}: "
                f"{said[-1] if said else 'it said nothing'}"
            )

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL: what it holds stays held until its lease runs out. None that has ended is."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
            self.killed = True

    async def end(self) -> None:
        """Close its stdin, by which it gives back what it holds; kill it if it takes too long."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_END_TIMEOUT):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
        await self._listening

    async def _keep_stderr(self) -> None:
        assert self._process.stderr is not None
        while chunk := await self._process.stderr.read(_KEPT_STDERR):
            self._said += chunk
            del self._said[:-_KEPT_STDERR]


async def start_all(count: int, module: str, url: str) -> list[Worker]:
    """Workers number 1 to `count`; none when one of them cannot be started."""
    workers: list[Worker] = []
    try:
        for number in range(1, count + 1):
            workers.append(await Worker.start(number, module, url))
    except BaseException:
        await end_all(workers)
        raise
    return workers


async def end_all(workers: Sequence[Worker]) -> None:
    """End them at the same time; returns when no process is left, even if it is cancelled."""
    ending = asyncio.gather(*(worker.end() for worker in workers))
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await ending
        raise


async def direct(
    workers: Sequence[Worker],
    hear: Callable[[Worker, Message], None],
    direction: Coroutine[Any, Any, T],
) -> T:
    """Run `direction` while `hear` gets what the workers say, then end them; returns its result.

    Raises:
        WorkerFailedError: one of them failed; the direction was cancelled.
    """
    directing = asyncio.create_task(direction, name="direction")
    hearing = [asyncio.create_task(_hear(w, hear), name=f"{w.name}.stdout") for w in workers]
    try:
        running: set[asyncio.Task[Any]] = {directing, *hearing}
        while not directing.done():
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        return directing.result()
    finally:
        directing.cancel()
        await end_all(workers)
        # What they say while they end is heard too; how they end does not matter any more.
        await asyncio.gather(directing, *hearing, return_exceptions=True)


async def tell_all(workers: Sequence[Worker], word: str) -> None:
    """Tell those that have not been killed, each once it is ready."""
    alive = [worker for worker in workers if not worker.killed]
    await asyncio.gather(*(worker.ready.wait() for worker in alive))
    await asyncio.gather(*(worker.tell(word) for worker in alive))


async def _hear(worker: Worker, hear: Callable[[Worker, Message], None]) -> None:
    try:
        async for message in worker.heard():
            if message["event"] == "ready":
                worker.ready.set()
            else:
                hear(worker, message)
    finally:
        worker.silent.set()


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _shown(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-status).name
    return f"exit status {status}"
