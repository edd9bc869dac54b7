"""Celery workers on the test's own server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.frameworks.celery.celery_jobs import use
from tests.frameworks.queue_workers import Process, Slots
from tests.servers import Server

Start = Callable[..., Process]


@pytest.fixture
def slots(server: Server) -> Iterator[Slots]:
    """Slots of which none may be held after the test; the app is at that server."""
    use(server.url)
    slots = Slots(server)
    yield slots
    slots.at_rest()
    slots.close()


@pytest.fixture
def start(slots: Slots, tmp_path: Path) -> Iterator[Start]:
    """Starts a worker with these arguments."""
    made = []

    def start(*arguments: str) -> Process:
        log = tmp_path / f"worker{len(made)}.log"
        command = ["celery", "-A", "tests.frameworks.celery.celery_jobs", "worker"]
        options = ["-l", "INFO", "--without-mingle", "--without-gossip", *arguments]
        worker = Process(log, *command, *options, LOCO_TEST_URL=slots.server.url)
        made.append(worker)
        worker.ready(" ready.")
        return worker

    yield start
    for worker in made:
        worker.end()
