"""Fixtures of the tests of commands: a small fleet to look at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.commands import kill_started
from tests.cli.fleets import Fleet
from tests.servers import Server


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    yield
    kill_started()


@pytest.fixture
def fleet_at_work(server: Server) -> Iterator[Fleet]:
    """`llm_api` with two slots: `webhook` and `batch` hold, three of `batch` and one of `report`
    wait, and events are kept."""
    with Fleet(server.url, "llm_api", capacity=2, events=1000) as fleet:
        fleet.hold("webhook", weight=2.0)
        fleet.hold("batch")
        for _ in range(3):
            fleet.wait("batch")
        fleet.wait("report", weight=5.0)
        yield fleet
