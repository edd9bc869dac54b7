"""The programs of docs/adapters/openai_agents.md run."""

from __future__ import annotations

from pathlib import Path

import pytest

from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.frameworks.pages import blocks, run
from tests.servers import Server

TEXT = Reply().text
PRINTED = [f"{TEXT}\n{TEXT}\n{{'triage': ", f"{TEXT}\n{TEXT}\n"]


@pytest.mark.parametrize("number", range(len(PRINTED)))
def test_each_program_of_the_page_runs(
    number: int, server: Server, provider: FakeProvider, tmp_path: Path
) -> None:
    programs = blocks("openai_agents")
    assert len(programs) == len(PRINTED)
    printed = run(programs[number], server, provider, tmp_path)
    assert printed.startswith(PRINTED[number])
