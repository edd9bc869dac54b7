"""One group's tests, in its environment."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.frameworks import environment
from tests.frameworks.groups import GROUP, ROOT, Group


@dataclass(frozen=True)
class Outcome:
    """Of a group. `said`: what pip or pytest printed, if anything failed."""

    group: Group
    versions: dict[str, str]
    passed: int
    failed: int
    skipped: int
    seconds: float
    said: str = ""

    @property
    def good(self) -> bool:
        return not self.said


def run(group: Group, *, newest: bool = False, drift: bool = False) -> Outcome:
    """Make its environment if need be, and run its tests there."""
    began = time.monotonic()
    if wrong := environment.make(group, newest=newest, drift=drift):
        return Outcome(group, {}, 0, 0, 0, time.monotonic() - began, wrong)
    with tempfile.TemporaryDirectory(prefix="frameworks-") as home:
        report = Path(home) / "report.xml"
        done = subprocess.run(
            [str(group.python), "-m", "pytest", "-q", "-p", "no:cacheprovider",
             f"--junit-xml={report}", str(group.folder)],
            cwd=ROOT, env={**os.environ, GROUP: group.name},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        counts = _counts(report)
    failed = counts["failures"] + counts["errors"]
    passed = counts["tests"] - failed - counts["skipped"]
    said = "" if done.returncode == 0 else done.stdout
    seconds = time.monotonic() - began
    return Outcome(
        group, environment.versions(group), passed, failed, counts["skipped"], seconds, said
    )


def _counts(report: Path) -> dict[str, int]:
    names = ("tests", "failures", "errors", "skipped")
    if not report.is_file():
        return dict.fromkeys(names, 0)
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    return {name: int(suite.get(name, 0)) for name in names}
