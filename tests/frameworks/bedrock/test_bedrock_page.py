"""The programs of docs/adapters/bedrock.md run; those of aiobotocore in its own group."""

from __future__ import annotations

from pathlib import Path

from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.frameworks.pages import blocks, run
from tests.servers import Server


def test_each_program_of_the_page_runs(
    server: Server, provider: FakeProvider, tmp_path: Path
) -> None:
    printed = [
        run(block, server, provider, tmp_path, **provider.environment)
        for block in blocks("bedrock")
        if "aiobotocore" not in block
    ]
    assert [text.count(Reply().text) for text in printed] == [2, 1, 0]
