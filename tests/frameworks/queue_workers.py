"""Workers of task queues: processes that tell by keys of the test's server what runs in them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import redis

from loco_redis import LOCOScheduler, SharedResource
from loco_redis.lease import _held
from loco_redis.testing import invariants
from tests.schedulers import NAME, dump_of
from tests.servers import Server
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent.parent
CAPACITY = 2
LEASE = 1.0
OPTIONS: dict[str, Any] = {"lease_ttl": LEASE, "backend_timeout": 5.0}

_ENTER = """
local now = redis.call('INCR', KEYS[1])
if now > tonumber(redis.call('GET', KEYS[2]) or '0') then redis.call('SET', KEYS[2], now) end
"""


class Marks:
    """What a job tells: how often it was begun, how many run at once, by whom it is called.
    It goes on when it is let."""

    def __init__(self, url: str, name: str) -> None:
        self._client = redis.Redis.from_url(url, decode_responses=True)
        self._key = f"marks:{name}:"

    def enter(self) -> None:
        self._client.incr(self._key + "begun")
        self._client.eval(_ENTER, 2, self._key + "running", self._key + "peak")

    def leave(self) -> None:
        self._client.decr(self._key + "running")

    def number(self, name: str) -> int:
        return int(self._client.get(self._key + name) or 0)

    def let(self) -> None:
        self._client.set(self._key + "let", 1)

    @property
    def is_let(self) -> bool:
        return bool(self._client.exists(self._key + "let"))

    def hold(self) -> None:
        """For plain jobs: until `let`."""
        self.enter()
        try:
            wait_until(lambda: self.is_let, 30)
        finally:
            self.leave()


def seen() -> dict[str, Any]:
    """What a body sees of its slot."""
    from loco_redis.context import current

    caller = current()
    leases = _held.get()
    return {
        "agent": caller.agent_id if caller is not None else None,
        "leases": [[lease.agent_id, lease.task.weight, lease.task.task_type] for lease in leases],
    }


class Process:
    """`python -m ...`, in a process group of its own, which ends with the test."""

    def __init__(self, log: Path, *arguments: str, **environment: str) -> None:
        self.log = log
        self._file = log.open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._file,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            start_new_session=True,
        )
        self.id = self._process.pid

    def ready(self, text: str) -> None:
        wait_until(lambda: text in self.log.read_text() or self._process.poll() is not None, 20)
        assert self._process.poll() is None, self.log.read_text()

    def terminate(self) -> int:
        """As an operator does: SIGTERM to the worker. Its exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def insist(self) -> None:
        """SIGTERM until it has ended: arq sometimes misses one."""
        while self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)

    def wait(self) -> int:
        return self._process.wait(20)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> None:
        """Whatever of it is left."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.id, signal.SIGKILL)
        self._process.wait()
        self._file.close()


class Slots:
    """The slots of the test's server, as an outsider sees and takes them."""

    def __init__(self, server: Server) -> None:
        self.server = server
        resource = SharedResource(NAME, CAPACITY)
        self.scheduler = LOCOScheduler((), resource, redis=server.url, **OPTIONS)
        self.scheduler.snapshot()

    def held(self) -> int:
        return len(dump_of(self.server).holders)

    def waiting(self) -> int:
        return int(dump_of(self.server).vars.get(b"waiting", 0))

    def sessions(self) -> int:
        return len(dump_of(self.server).sessions)

    def at_rest(self, within: float = 5.0) -> float:
        """Nothing is held, and nobody waits, after so many seconds."""
        since = time.monotonic()
        wait_until(lambda: not self.held() and not self.waiting(), within, "a slot is held")
        took = time.monotonic() - since
        invariants.check_at_rest(dump_of(self.server))
        return took

    def close(self) -> None:
        self.scheduler.close()
