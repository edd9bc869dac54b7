"""The frameworks that `loco-redis doctor` knows."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

import loco_redis.adapters
from loco_redis.adapters.catalogue import FRAMEWORKS, Framework
from tests.frameworks.groups import ROOT, Group

ADAPTERS = Path(loco_redis.adapters.__file__).parent
# The SDKs are in the environment of `make test`.
SDKS = {"anthropic", "openai"}


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=lambda f: f.name)
def test_lines_to_paste(framework: Framework) -> None:
    """They are a program that imports a name which its module has."""
    first, use = ast.parse(framework.lines).body
    assert isinstance(first, ast.ImportFrom)
    (name,) = (alias.name for alias in first.names)
    assert name in ast.unparse(use)
    module = ADAPTERS / (first.module or "").removeprefix("loco_redis.adapters").lstrip(".")
    stub, package, file = module / "__init__.pyi", module / "__init__.py", module.with_suffix(".py")
    source = next(path for path in (stub, package, file) if path.is_file()).read_text("utf-8")
    assert re.search(rf"\b{name}\b", source), f"{name} is not in {first.module}"


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=lambda f: f.name)
def test_a_framework_has_an_extra_and_is_tested(framework: Framework) -> None:
    """The range of its extra is what doctor compares with; a group runs its tests."""
    assert framework.tested, f"{framework.extra} does not require {framework.distribution}"
    if framework.extra not in SDKS:
        assert [group for group in Group.all() if framework.extra in group.extras]


def test_an_extra_for_each_framework_and_none_for_all() -> None:
    """Every extra of an adapter is in the catalogue."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    known = {framework.extra for framework in FRAMEWORKS}
    used = {extra for group in Group.all() for extra in group.extras}
    assert used <= known
    assert known <= extras.keys()
    assert "all" not in extras
