"""The programs of docs/adapters/langchain.md run."""

from __future__ import annotations

from pathlib import Path

import pytest

from loco_redis.testing.fake_provider import FakeProvider
from tests.adapters.async_cases import TEXT
from tests.frameworks.pages import blocks, run
from tests.servers import Server

PRINTED = [
    [TEXT, TEXT, "{'analyst': "],
    [TEXT, "{'forecaster': "],
    ["['critic', 'writer']"],
    ["{'writer': ", "refuses agent 'intern'"],
]


@pytest.mark.parametrize("number", range(len(PRINTED)))
def test_each_program_of_the_page_runs(
    number: int, server: Server, provider: FakeProvider, tmp_path: Path
) -> None:
    programs = blocks("langchain")
    assert len(programs) == len(PRINTED)
    printed = run(programs[number], server, provider, tmp_path)
    for expected in PRINTED[number]:
        assert expected in printed
        printed = printed.partition(expected)[2]
