"""Worker processes: started, listened to, stopped and killed by tests."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "tests" / "session" / "worker.py"


class Worker:
    """One process of `tests/session/worker.py`."""

    def __init__(self, url: str, agent: str, count: int, lease: float, *mode: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT), url, agent, str(count), str(lease), *mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self._told: queue.Queue[dict[str, Any]] = queue.Queue()
        self._listening = threading.Thread(target=self._listen)
        self._listening.start()

    def expect(self, event: str, timeout: float = 20.0) -> dict[str, Any]:
        """The next thing the worker tells, which must be `event`."""
        facts = self._told.get(timeout=timeout)
        assert facts["event"] == event, facts
        return facts

    def rest(self) -> list[dict[str, Any]]:
        """All that it still has to tell until it ends by itself, without error."""
        assert self._process.wait(60) == 0
        self._listening.join()
        return [self._told.get() for _ in range(self._told.qsize())]

    def tell(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._listening.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._told.put(json.loads(line))


class Workers:
    """Starts workers and ends them all."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._started: list[Worker] = []

    def __call__(self, agent: str, count: int, lease: float, *mode: str) -> Worker:
        self._started.append(Worker(self._url, agent, count, lease, *mode))
        return self._started[-1]

    def end(self) -> None:
        for worker in self._started:
            worker.end()


@pytest.fixture
def workers(redis_url: str) -> Iterator[Workers]:
    """A starter of worker processes on the default server."""
    workers = Workers(redis_url)
    yield workers
    workers.end()
