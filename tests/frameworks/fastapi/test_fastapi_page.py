"""The programs of docs/adapters/fastapi.md, each served by uvicorn as it says."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.frameworks.pages import blocks
from tests.servers import Server
from tests.waiting import wait_until

ANSWERS = [{"answer": 42}, {"asked by": "ada"}]


@pytest.mark.parametrize("number", range(len(ANSWERS)))
def test_program(number: int, server: Server, tmp_path: Path) -> None:
    """It answers, for the agent of the header."""
    programs = blocks("fastapi")
    assert len(programs) == len(ANSWERS)
    (tmp_path / "main.py").write_text(programs[number], "utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "main:app", "--port", str(port)]
    environment = {**os.environ, "LOCO_REDIS_URL": server.url}
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as process:
        try:
            wait_until(lambda: process.poll() is not None or _listens(port))
            url = f"http://127.0.0.1:{port}/v1/answer"
            answer = httpx.get(url, headers={"x-user": "ada"})
            assert answer.json() == ANSWERS[number]
        finally:
            process.terminate()
    assert process.returncode in (0, -15)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
