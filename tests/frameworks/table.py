"""The outcomes of a run, for the terminal and for docs/adapters.md."""

from __future__ import annotations

import platform
import re
from datetime import date

from tests.frameworks.groups import ROOT
from tests.frameworks.run import Outcome

PAGE = ROOT / "docs" / "adapters.md"
_BEGIN = "<!-- written by `make test-adapters-all` -->"
_END = "<!-- end -->"


def line(outcome: Outcome) -> str:
    """One line of the terminal."""
    state = "ok" if outcome.good else "FAILED"
    counts = f"{outcome.passed} passed, {outcome.failed} failed, {outcome.skipped} skipped"
    shown = " ".join(f"{name} {version}" for name, version in outcome.versions.items())
    return f"{outcome.group.name:16} {state:7} {counts} in {outcome.seconds:.0f} s  {shown}"


def rows(outcomes: list[Outcome]) -> str:
    """The table of the page."""
    python = platform.python_version()
    lines = [
        f"Last run: {date.today().isoformat()}, Python {python}.",
        "",
        "| group | versions | passed | failed | skipped | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for outcome in outcomes:
        shown = ", ".join(f"{name} {version}" for name, version in outcome.versions.items())
        lines.append(
            f"| {outcome.group.name} | {shown} | {outcome.passed} | {outcome.failed} "
            f"| {outcome.skipped} | {outcome.seconds:.0f} |"
        )
    return "\n".join(lines)


def write(outcomes: list[Outcome]) -> None:
    """Into the page, between its marks."""
    page = PAGE.read_text("utf-8")
    pattern = re.compile(f"({re.escape(_BEGIN)}\n).*?(\n{re.escape(_END)})", re.DOTALL)
    replaced, times = pattern.subn(lambda m: m[1] + "\n" + rows(outcomes) + "\n" + m[2], page)
    if times != 1:
        raise ValueError(f"{PAGE} must have the marks {_BEGIN} and {_END} once, found {times}")
    PAGE.write_text(replaced, "utf-8")
