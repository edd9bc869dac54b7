"""Runs the fault tests and writes what they did and saw into docs/reliability.md: `make faults`.

`--write` only writes the page, from the figures of the last run.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
FIGURES = ROOT / "docs" / "figures" / "faults.json"
sys.path.insert(0, str(ROOT))

from tests.faults.table import FAULTS, Fault  # noqa: E402  the tests are no installed package


def tests_of(fault: Fault) -> dict[str, str]:
    """The tests of a row: name -> file."""
    found = {}
    for path in sorted((ROOT / "tests" / "faults").glob("test_*.py")):
        for name in re.findall(rf"def (test_{fault.row}\w*)\(", path.read_text("utf-8")):
            if row_of(name) == fault.row:
                found[name] = path.relative_to(ROOT).as_posix()
    return found


def row_of(test: str) -> str | None:
    """The row that a test is named after: the longest that its name begins with."""
    rows = [fault.row for fault in FAULTS if test.removeprefix("test_").startswith(fault.row)]
    return max(rows, key=len, default=None)


def section(fault: Fault, figures: list[dict[str, str]]) -> str:
    """A fault: what must come of it, what was done, what was seen."""
    names = tests_of(fault)
    told = [(f["done"], f["seen"]) for f in figures if f["test"].partition("[")[0] in names]
    files = ", ".join(f"[{Path(file).stem}](../{file})" for file in sorted(set(names.values())))
    lines = [
        f"### {fault.row}",
        "",
        f"When {fault.fault}: {fault.must}. In {files}.",
        "",
        "| done | seen |",
        "|---|---|",
    ]
    for (done, seen), times in Counter(told).items():
        often = f" ({times} times)" if times > 1 else ""
        lines.append(f"| {done}{often} | {seen} |")
    return "\n".join(lines)


def sections(figures: list[dict[str, str]]) -> str:
    """The part of the page between the marks."""
    return "\n\n".join(section(fault, figures) for fault in FAULTS)


def write() -> None:
    text = PAGE.read_text("utf-8")
    figures = json.loads(FIGURES.read_text("utf-8"))
    start, end = "<!-- faults: start -->\n", "\n<!-- faults: end -->"
    head, rest = text.split(start)
    PAGE.write_text(head + start + sections(figures) + end + rest.split(end)[1], "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the page only")
    if not parser.parse_args().write:
        FIGURES.unlink(missing_ok=True)
        command = ["-m", "pytest", "tests/faults", f"--figures={FIGURES}"]
        subprocess.run([sys.executable, *command], cwd=ROOT, check=True)
    write()


if __name__ == "__main__":
    main()
