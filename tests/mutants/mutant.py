"""A deliberate defect: a small replacement in one file, and the tests that must notice it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Mutant(NamedTuple):
    """`old` occurs once in `file` (below `loco_redis/`); with `new` in its place each of `tests`
    fails. `why` says what is wrong then."""

    name: str
    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """The text of the file with the defect; ValueError if it does not fit."""
        if text.count(self.old) != 1:
            times = text.count(self.old)
            raise ValueError(f"{self.name}: {self.old!r} is {times} times in {self.file}, not once")
        return text.replace(self.old, self.new)

    def misfit(self, root: Path) -> str:
        """Why it does not fit the project at `root`, or nothing."""
        try:
            self.applied((root / "loco_redis" / self.file).read_text("utf-8"))
        except (OSError, ValueError) as error:
            return str(error)
        return ""

    def apply(self, root: Path) -> None:
        """Into the copy of the project at `root`."""
        path = root / "loco_redis" / self.file
        text = self.applied(path.read_text("utf-8"))
        path.unlink()  # it may be a link to the file that it was copied from
        path.write_text(text, "utf-8")
