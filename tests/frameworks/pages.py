"""The code of a framework's page in docs/adapters/, run as a user would: each block a program."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from loco_redis.testing.fake_provider import FakeProvider
from tests.frameworks.groups import ROOT
from tests.servers import Server

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> list[str]:
    """The programs in docs/adapters/<page>.md, in order."""
    found = _BLOCK.findall((ROOT / "docs" / "adapters" / f"{page}.md").read_text("utf-8"))
    assert found, f"docs/adapters/{page}.md has no block of Python"
    return found


def run(block: str, server: Server, provider: FakeProvider, home: Path, **more: str) -> str:
    """What the program prints: with that Redis, and with SDKs that find the fake provider by their
    environment variables. `more` are further ones."""
    program = home / "program.py"
    program.write_text(block, "utf-8")
    environment = {
        **os.environ,
        **provider.environment,
        "LOCO_REDIS_URL": server.url,
        **more,
    }
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=home, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout
