"""Fixtures for all tests: real servers, and an environment that names none."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import AFTER_EACH_TEST, BINARIES, DEFAULT, Fleet, Server

# How long it takes to make examples says something of the machine, and nothing of what is tested.
settings.register_profile("any_machine", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")


@pytest.hookimpl(trylast=True)  # after those that are not wanted are gone
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Under xdist, whose workers begin with equal parts of the list, each part begins with its
    share of the slow tests: none of them is left for the end, when other workers have nothing."""
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    slow = [item for item in items if item.get_closest_marker("slow")]
    rest = [item for item in items if not item.get_closest_marker("slow")]
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        mine, left = slow[worker::workers], len(items) - len(ordered)
        others = max(left // (workers - worker) - len(mine), 0)
        ordered += [*mine, *rest[:others]]
        del rest[:others]
    items[:] = ordered if workers > 1 else items


def pytest_collection_finish() -> None:
    """What is there by now stays: tests that collect garbage need not go through it each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    fleet = Fleet()
    yield fleet
    fleet.stop()


def _use(fleet: Fleet, name: str) -> Iterator[Server]:
    server = fleet.flushed(name)
    yield server
    for check in AFTER_EACH_TEST:
        check(server)


@pytest.fixture
def server(fleet: Fleet) -> Iterator[Server]:
    """The default server, flushed; checked after the test."""
    yield from _use(fleet, DEFAULT)


@pytest.fixture(params=list(BINARIES))
def any_server(fleet: Fleet, request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each server of this machine in turn, flushed; checked after the test."""
    yield from _use(fleet, request.param)


@pytest.fixture
def redis_url(server: Server) -> str:
    """The URL of the default server, flushed."""
    return server.url


@pytest.fixture(autouse=True)
def _no_redis_in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own Redis must be neither used nor flushed."""
    for variable in ("LOCO_REDIS_URL", "REDIS_URL", "LOCO_REDIS_SERVER", "LOCO_REDIS_SCRIPTS"):
        monkeypatch.delenv(variable, raising=False)
