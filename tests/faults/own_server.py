"""Fixtures of servers that a test may stop, fill or starve."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.faults.topologies import client_of
from tests.servers import BINARIES, DEFAULT, EmbeddedServer, Server


@contextlib.contextmanager
def _own(name: str) -> Iterator[Server]:
    with EmbeddedServer.start(BINARIES[name], tcp=True) as process:
        with client_of(process) as client:
            yield Server(name, process, client)


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server of the test's own, which it may stop, fill or starve."""
    with _own(DEFAULT) as server:
        yield server


@pytest.fixture(params=list(BINARIES))
def any_own_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The same of each kind in turn."""
    with _own(request.param) as server:
        yield server
