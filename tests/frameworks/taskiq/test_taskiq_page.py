"""The programs of docs/adapters/taskiq.md run."""

from __future__ import annotations

from pathlib import Path

from loco_redis.testing.fake_provider import FakeProvider
from tests.frameworks.pages import blocks, run
from tests.servers import Server


def test_the_programs_of_the_page_run(server: Server, tmp_path: Path) -> None:
    with FakeProvider() as provider:
        printed = [run(block, server, provider, tmp_path) for block in blocks("taskiq")]
    assert "A long rep..." in printed[0]
    assert "A question..." in printed[0]
