"""Fixtures of this folder: routers that leave nothing behind, and providers for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack

import pytest

from loco_redis.testing.fake_provider import FakeProvider
from tests.clusters import cluster_url
from tests.orchestration.routing.routers import Routers
from tests.servers import Server

__all__ = ["cluster_url"]


@pytest.fixture
async def routers(server: Server) -> AsyncIterator[Routers]:
    """A maker of routers on the default server; afterwards nothing may be held or left."""
    routers = Routers(server)
    yield routers
    await routers.aclose()


@pytest.fixture
async def any_routers(any_server: Server) -> AsyncIterator[Routers]:
    """The same on each server of this machine in turn."""
    routers = Routers(any_server)
    yield routers
    await routers.aclose()


@pytest.fixture
def providers() -> Iterator[Callable[[], FakeProvider]]:
    """Starts fake providers."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(FakeProvider())
