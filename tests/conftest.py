"""Fixtures for all tests: real servers, and an environment that names none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import AFTER_EACH_TEST, BINARIES, DEFAULT, Fleet, Server


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
    for variable in ("LOCO_REDIS_URL", "REDIS_URL", "LOCO_REDIS_SERVER"):
        monkeypatch.delenv(variable, raising=False)
