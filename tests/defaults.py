"""The one-line API in tests: configured for the default server, reset and checked afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from typing import Any

import pytest

import loco_redis as loco
from loco_redis.testing import invariants
from tests.schedulers import NAME, background_work, dump_of
from tests.servers import Server
from tests.workers import ROOT


class Defaults:
    """Configures, and looks into the server."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def configure(self, capacity: int | None = 1, **options: Any) -> None:
        options = {"lease_ttl": 2.0, "backend_timeout": 5.0, **options}
        options = {"redis": self.server.url, "resource_name": NAME, **options}
        loco.configure(capacity=capacity, **options)

    def held(self) -> list[str]:
        """The agents that hold a slot."""
        return sorted(row.agent.decode() for row in dump_of(self.server).leases.values())

    def waiting(self) -> int:
        return len(dump_of(self.server).waiting)

    def sessions(self) -> int:
        return len(dump_of(self.server).sessions)

    def released(self) -> int:
        return dump_of(self.server).number("released")

    def is_at_rest(self) -> None:
        """No session is left, and nothing is held, waits or is queued."""
        dump = dump_of(self.server)
        assert not dump.sessions
        invariants.check_at_rest(dump)

    def run(self, program: str) -> str:
        """What a program of its own prints; no warning and nothing on stderr is allowed."""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
            cwd=ROOT,
            env={**os.environ, "LOCO_REDIS_URL": self.server.url},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout


@pytest.fixture(autouse=True)
async def defaults(server: Server) -> AsyncIterator[Defaults]:
    """Everything is closed and forgotten after each test, and nothing is left in Redis."""
    defaults = Defaults(server)
    yield defaults
    await loco.reset()
    defaults.is_at_rest()
    assert background_work() == []
