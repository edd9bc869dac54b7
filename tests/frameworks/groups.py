"""The groups of frameworks that fit into one environment: a folder each, with a `group.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
#: Of the virtual environments.
HOMES = ROOT / ".venv-adapters"

#: The environment variable that says in which group's environment the tests run.
GROUP = "LOCO_TEST_GROUP"


@dataclass(frozen=True)
class Group:
    """Attributes:
    name: of the folder, and of the environment.
    extras: of loco-redis.
    packages: what only the tests need.
    needs: other groups whose environments its tests use.
    shown: the distributions whose versions the table shows.
    heavy: hundreds of megabytes: not in CI.
    """

    name: str
    extras: tuple[str, ...]
    packages: tuple[str, ...]
    needs: tuple[str, ...]
    shown: tuple[str, ...]
    heavy: bool

    @classmethod
    def all(cls) -> list[Self]:
        return [cls.read(path.parent) for path in sorted(HERE.glob("*/group.toml"))]

    @classmethod
    def read(cls, folder: Path) -> Self:
        with (folder / "group.toml").open("rb") as file:
            found = tomllib.load(file)
        lists = (tuple(found.pop(key, ())) for key in ("extras", "packages", "needs", "shown"))
        return cls(folder.name, *lists, heavy=found.pop("heavy", False), **found)

    @property
    def needed(self) -> list[Self]:
        """Itself, and the groups whose environments its tests use."""
        return [self, *(self.read(HERE / name) for name in self.needs)]

    @property
    def folder(self) -> Path:
        return HERE / self.name

    @property
    def home(self) -> Path:
        """Of its virtual environment."""
        return HOMES / self.name

    @property
    def python(self) -> Path:
        return self.home / "bin" / "python"
