"""The program of docs/adapters/bedrock.md for aiobotocore runs."""

from __future__ import annotations

from pathlib import Path

from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.frameworks.pages import blocks, run
from tests.servers import Server


def test_the_program_of_the_page_runs(
    server: Server, provider: FakeProvider, tmp_path: Path
) -> None:
    (program,) = (block for block in blocks("bedrock") if "aiobotocore" in block)
    assert run(program, server, provider, tmp_path, **provider.environment) == Reply().text
