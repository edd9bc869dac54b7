"""The programs of docs/adapters/mcp.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from loco_redis.testing.fake_provider import FakeProvider
from tests.frameworks.pages import blocks, run
from tests.servers import Server

PRINTED = ["The Trial\n", "The Castle\n"]


@pytest.mark.parametrize("number", range(len(PRINTED)))
def test_program(number: int, server: Server, provider: FakeProvider, tmp_path: Path) -> None:
    """It prints what its tool says."""
    programs = blocks("mcp")
    assert len(programs) == len(PRINTED)
    assert run(programs[number], server, provider, tmp_path) == PRINTED[number]
