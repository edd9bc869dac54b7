"""The programs of docs/adapters/agent_framework.md run."""

from __future__ import annotations

from pathlib import Path

import pytest

from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.frameworks.pages import blocks, run
from tests.servers import Server

PRINTED = [f"{Reply().text}\n" + Reply().text + "['critic', 'writer']\n", f"{Reply().text}\n"]


@pytest.mark.parametrize("number", range(len(PRINTED)))
def test_each_program_of_the_page_runs(
    number: int, server: Server, provider: FakeProvider, tmp_path: Path
) -> None:
    programs = blocks("agent_framework")
    assert len(programs) == len(PRINTED)
    assert run(programs[number], server, provider, tmp_path) == PRINTED[number]
