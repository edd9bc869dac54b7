"""Measuring with the code of an earlier revision of this repository, beside that of today."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent


@contextmanager
def unpacked(revision: str, *folders: str) -> Iterator[Path | None]:
    """A folder with these folders of a revision; None where there is no history."""
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", revision, *folders], capture_output=True, check=False
    )
    if archive.returncode:
        yield None
        return
    with TemporaryDirectory(prefix="loco-redis-before-") as folder:
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder)


class Worker:
    """A process that runs `program`, which measures once for each line that it reads.

    Packages are those of the folders in `path`, the first first.
    """

    def __init__(self, path: list[Path], program: str, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", program, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))},
        )

    def measure(self) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def end(self) -> None:
        self.process.communicate("\n", timeout=30)
