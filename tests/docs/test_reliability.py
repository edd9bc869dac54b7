"""docs/reliability.md has a line for each fault, and each fault has its tests."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.faults.table import FAULTS, Fault

ROOT = Path(__file__).parents[2]


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reliability", ROOT / "docs/reliability.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = _generator()
PAGE = (ROOT / "docs/reliability.md").read_text("utf-8")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.row)
def test_a_fault_has_a_test_and_a_line_with_what_was_seen(fault: Fault) -> None:
    """Its tests are named after it; at least one of them has told what it did and saw."""
    tests = GENERATOR.tests_of(fault)
    assert tests, f"no test_{fault.row} in tests/faults"
    told = {f["test"].partition("[")[0] for f in json.loads(GENERATOR.FIGURES.read_text("utf-8"))}
    assert told & set(tests), f"none of {sorted(tests)} has told what it saw: make faults"
    assert f"### {fault.row}\n" in PAGE


def test_the_page_is_what_the_last_run_saw() -> None:
    """What is between the marks is made from the figures, and by nothing else."""
    figures = json.loads(GENERATOR.FIGURES.read_text("utf-8"))
    assert GENERATOR.sections(figures) in PAGE


def test_each_test_of_the_folder_belongs_to_a_fault() -> None:
    """No test there is named after nothing."""
    for path in (ROOT / "tests/faults").glob("test_*.py"):
        for name in re.findall(r"def (test_\w+)\(", path.read_text("utf-8")):
            assert GENERATOR.row_of(name), f"{name} in {path.name} is named after no fault"
