"""Fixtures of the tests of changing commands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import Server
from tests.soundness import schedulers_are_sound
from tests.workers import workers

__all__ = ["workers"]


@pytest.fixture(autouse=True)
def _state_is_sound(server: Server) -> Iterator[None]:
    """Whatever an operator does, the invariants hold afterwards. The list of resources is no key of
    a scheduler."""
    yield
    server.client.delete("loco:resources")
    schedulers_are_sound(server)
