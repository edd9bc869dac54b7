"""Running named tests on a copy of the project, with a mutant or without."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4
from xml.etree import ElementTree

from tests.mutants.mutant import ROOT, Mutant

AT_A_TIME = 2
_TIMEOUT = 180.0
_HANGS = 30  # seconds after which a test has failed, which takes a few
_COPIED = ("loco_redis", "tests")


@dataclass(frozen=True)
class Outcome:
    """How many of the named tests passed and failed; `errors` are those of fixtures or imports.
    `reason` is the first line of the first failure, `names` the functions that ran."""

    passed: int
    failed: int
    errors: int
    reason: str
    names: frozenset[str]
    seconds: float
    output: str

    def is_of(self, test: str) -> bool:
        """Whether the report is about this test alone."""
        return self.names == {test.partition("::")[2].partition("[")[0]}

    @property
    def is_clean(self) -> bool:
        return self.passed > 0 and not self.failed and not self.errors


@dataclass(frozen=True)
class Verdict:
    """`survived`: the tests that do not fail with the mutant; `ran`: those whose report is about
    them and nothing else."""

    mutant: Mutant
    survived: tuple[str, ...]
    ran: tuple[str, ...]
    reason: str
    seconds: float
    output: str

    @property
    def is_killed(self) -> bool:
        return not self.survived


class Workshop:
    """A temporary copy of the package and its tests, from which each mutant gets one of its own.
    A context manager."""

    def __enter__(self) -> Workshop:
        self._folder = tempfile.TemporaryDirectory(prefix="loco-mutants-")
        self._base = Path(self._folder.name) / "base"
        self._base.mkdir()
        for name in _COPIED:
            shutil.copytree(ROOT / name, self._base / name)
        shutil.copy2(ROOT / "pyproject.toml", self._base)
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def unmutated(self, tests: Iterable[str]) -> Outcome:
        """The tests on the project as it is."""
        return _run(self._copy("unmutated"), sorted(set(tests)))

    def judge(self, mutant: Mutant) -> Verdict:
        """Whether each of its tests fails with it."""
        root = self._copy(mutant.name)
        mutant.apply(root)
        outcomes = {test: _run(root, [test]) for test in mutant.tests}
        shutil.rmtree(root)
        return Verdict(
            mutant,
            tuple(
                test
                for test, outcome in outcomes.items()
                if not (outcome.failed and outcome.is_of(test))
            ),
            tuple(test for test, outcome in outcomes.items() if outcome.is_of(test)),
            "; ".join(outcome.reason for outcome in outcomes.values()),
            sum(outcome.seconds for outcome in outcomes.values()),
            "\n".join(outcome.output for outcome in outcomes.values()),
        )

    def _copy(self, name: str) -> Path:
        """One whose files are links: nothing may write into them. Nobody runs anything in the base,
        so that no run leaves a file there that others would share."""
        root = Path(self._folder.name) / name
        shutil.copytree(self._base, root, copy_function=os.link)
        return root

    def judge_all(self, mutants: Iterable[Mutant]) -> Iterator[Verdict]:
        """The verdicts, in the order of the mutants."""
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            yield from pool.map(self.judge, mutants)


def _run(root: Path, tests: list[str]) -> Outcome:
    began, report = time.monotonic(), root / f"report-{uuid4().hex}.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line"]
    command += [f"--timeout={_HANGS}", f"--junitxml={report}", *tests]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, timeout=_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return Outcome(0, 0, 1, "", frozenset(), time.monotonic() - began, f"{tests} did not end")
    seconds = time.monotonic() - began
    if not report.exists():
        return Outcome(0, 0, 1, "", frozenset(), seconds, done.stdout + done.stderr)
    return Outcome(*_counted(report), seconds, done.stdout)


def _counted(report: Path) -> tuple[int, int, int, str, frozenset[str]]:
    passed = failed = errors = 0
    reason, names = "", set()
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag: child.get("message", "") for child in case}
        names.add(case.get("name", "").partition("[")[0])
        failed += "failure" in kinds
        errors += "error" in kinds and "failure" not in kinds
        passed += not kinds.keys() & {"failure", "error", "skipped"}
        reason = reason or kinds.get("failure", "").partition("\n")[0]
    return passed, failed, errors, reason, frozenset(names)
