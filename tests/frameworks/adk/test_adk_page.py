"""The programs of docs/adapters/adk.md run."""

from __future__ import annotations

from pathlib import Path

from loco_redis.testing.fake_provider import FakeProvider, Reply
from tests.frameworks.pages import blocks, run
from tests.servers import Server


def test_the_page(server: Server, provider: FakeProvider, tmp_path: Path) -> None:
    quick_start, callbacks = blocks("adk")
    assert run(quick_start, server, provider, tmp_path) == f"{Reply().text}\n"
    printed = run(callbacks, server, provider, tmp_path)
    first, second = provider.reported  # both programs have the same resource and agent
    assert printed == f"{{'analyst': {first.total_tokens + second.total_tokens}}}\n"
