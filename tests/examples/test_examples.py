"""Each example is short, runs by itself, and says what it found."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"
SAYS = {
    "burst": r"burst: 40 served, waited [\d.]+ s, at most [\d.]+ s\nsmall: 150 served",
    "durable_tasks": r"(serves b'page \d', attempt 1\n){3}left: 0\n",
    "fairness": r"(?s)latency: Jain's index 0\.\d+, .*\nthroughput: .*'minnow-5': \d+",
    "mdash_security": r"done: \{'triage': 80, 'scan': 1\d\d, 'verify': \d+, 'report': \d+\}",
    "threads": r"40 calls on slots \[0, 1, 2\], at most 3 at once\n",
    "two_processes": r"10 grants in 2 processes, in this order:\n(\d+ ){9}\d+\n",
    "webhook_spike": r"(?s)latency batch waited .*\nthroughput batch waited .* webhook ",
}
EXAMPLES = sorted(FOLDER.glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_without_anything(path: Path) -> None:
    """On the embedded server, without an argument, without a warning; its last words are known."""
    environment = {name: value for name, value in os.environ.items() if "REDIS" not in name}
    run = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    assert {line.partition(":")[0] for line in run.stderr.splitlines()} == {
        "no Redis given and neither LOCO_REDIS_URL nor REDIS_URL is set"
    }
    assert re.match(SAYS[path.stem], run.stdout), run.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_uses_public_names_only(path: Path) -> None:
    """Fewer than 30 lines, empty ones and all; of this project only what `loco_redis` exports."""
    text = path.read_text("utf-8")
    assert len(text.splitlines()) < 30
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    ours = [node.module or "" for node in imports if "loco_redis" in (node.module or "")]
    assert ours == ["loco_redis"]


def test_each_example_has_a_line_in_the_readme() -> None:
    """And the README names no other."""
    named = re.findall(r"^\| \[(\w+)\.py\]", (FOLDER / "README.md").read_text("utf-8"), re.M)
    assert sorted(named) == [path.stem for path in EXAMPLES]
