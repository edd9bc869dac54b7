"""The programs of docs/adapters/a2a.md run."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from loco_redis.testing.fake_provider import FakeProvider
from tests.frameworks.pages import blocks, run
from tests.servers import Server

PRINTED = ["hello\n", "", "held: "]


def _free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


@pytest.mark.parametrize("number", range(len(PRINTED)))
def test_each_program_of_the_page_runs(
    number: int, server: Server, provider: FakeProvider, tmp_path: Path
) -> None:
    programs = blocks("a2a")
    assert len(programs) == len(PRINTED)
    printed = run(programs[number], server, provider, tmp_path, PORT=_free_port())
    assert printed.startswith(PRINTED[number])
