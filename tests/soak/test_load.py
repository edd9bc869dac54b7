"""The load, for a few seconds and with fewer callers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak.load import Seen
from tests.soak.processes import ROOT

pytestmark = pytest.mark.chaos


def test_short_load(tmp_path: Path) -> None:
    """Every acquire ends, every grant is a body and a release, and nothing is left."""
    file = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.soak.load", "--minutes", "0.04", "--processes", "2"]
    done = subprocess.run(
        [*command, "--callers", "100", "--json", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(file.read_text())["figures"]
    assert figures["ends of acquires"]["body"] > 100
    assert figures["tokens given twice"] == 0


def test_token_given_twice() -> None:
    """It is seen, whichever processes were given it."""
    seen = Seen()
    seen.hear({"event": "given", "tokens": [1, 2]})
    seen.turn()
    seen.hear({"event": "given", "tokens": [3, 2, 3]})
    assert (seen.grants, seen.twice) == (5, 2)
