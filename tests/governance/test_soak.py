"""Everything at once: processes under every kind of rule, killed and started anew.

`LOCO_SOAK_SECONDS` says for how long.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loco_redis.testing import invariants
from tests.schedulers import dump_of
from tests.servers import Server

SCRIPT = Path(__file__).with_name("soak_worker.py")
SECONDS = float(os.environ.get("LOCO_SOAK_SECONDS", "8"))

Start = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def start(server: Server) -> Iterator[Start]:
    """Starts workers with seeds of their own; all are killed afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, str(SCRIPT), server.url, str(len(started))]
        environment = os.environ | {"PYTHONPATH": str(SCRIPT.parents[2])}
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.timeout(60 + SECONDS)
def test_rules_hold_while_workers_die(server: Server, start: Start) -> None:
    """Seen every 50 ms, the state keeps all invariants: money, caps, slots, queues."""
    rng, workers = random.Random(1), [start() for _ in range(3)]
    before, end = dump_of(server), time.monotonic() + SECONDS
    while time.monotonic() < end or before.number("reclaimed") == 0:
        time.sleep(0.05)
        after = dump_of(server)
        invariants.check(after)
        invariants.check_progress(before, after)
        before = after
        if rng.random() < 0.02:
            workers[0].kill()
            workers = [*workers[1:], start()]
        assert all(worker.poll() is None for worker in workers)
    assert before.number("granted") > 20 * SECONDS
