"""Processes that serve, or wait for a result: started by tests, listened to, signalled, killed."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis.lease import Lease
from tests.schedulers import NAME
from tests.workers import ROOT


class Process:
    """One process of this module: `result TASK`, or a worker: `CONCURRENCY`."""

    def __init__(self, url: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", __file__, url, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self._told: queue.Queue[dict[str, Any]] = queue.Queue()
        self._listening = threading.Thread(target=self._listen)
        self._listening.start()

    def expect(self, event: str, timeout: float = 20.0) -> dict[str, Any]:
        """The next thing that it tells, which must be `event`."""
        facts = self._told.get(timeout=timeout)
        assert facts["event"] == event, facts
        return facts

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self._process.kill()

    def end(self, timeout: float = 20.0) -> int:
        """Its exit code, once it has ended by itself."""
        return self._process.wait(timeout)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._listening.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._told.put(json.loads(line))


class Processes:
    """Starts them and ends them all."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._started: list[Process] = []

    def __call__(self, *arguments: str) -> Process:
        self._started.append(Process(self._url, *arguments))
        return self._started[-1]

    def close(self) -> None:
        for process in self._started:
            process.close()


@pytest.fixture
def processes(redis_url: str) -> Iterator[Processes]:
    """A starter of processes on the default server."""
    processes = Processes(redis_url)
    yield processes
    processes.close()


def tell(event: str, **facts: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


async def handle(lease: Lease) -> str:
    """A task takes as many seconds as its payload says, or "forever"."""
    tell("began", task=lease.task.task_id, attempt=lease.task.attempt)
    text = (lease.task.payload or b"0").decode()
    await (asyncio.Event().wait() if text == "forever" else asyncio.sleep(float(text)))
    tell("ended", task=lease.task.task_id)
    return text


async def main(url: str, what: str, *arguments: str) -> None:
    resource = SharedResource(NAME)
    async with AsyncLOCOScheduler((), resource, redis=url, lease_ttl=None) as scheduler:
        if what == "result":
            tell("result", value=await scheduler.result(arguments[0], timeout=20))
            return
        worker = scheduler.worker({"*": handle}, concurrency=int(what), grace=float(*arguments))
        await worker.run()
        tell("stopped", done=worker.done, failed=worker.failed)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
