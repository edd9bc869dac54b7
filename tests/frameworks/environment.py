"""A group's virtual environment: made when it is missing, or when what it holds has changed."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from functools import cache
from threading import Lock
from typing import Any

from build import ProjectBuilder
from build.env import DefaultIsolatedEnv
from packaging.requirements import Requirement

from tests.frameworks.groups import HOMES, ROOT, Group

#: What the tests of every group need.
_TOOLS = ("pytest", "pytest-asyncio", "pytest-timeout", "hypothesis")


def requirements(group: Group, itself: str, *, drift: bool = False) -> list[str]:
    """For pip, `itself` first: the project, by a name or a wheel. The tools have the ranges of the
    project's own tests; `drift`: what the group tests has no upper end."""
    dev = _project()["optional-dependencies"]["dev"]
    tools = [line for line in dev if re.match(r"[a-z-]*", line)[0] in _TOOLS]  # type: ignore[index]
    if not drift:
        extras = ",".join(("embedded", *group.extras))
        return [f"{itself}[{extras}]", *tools, *group.packages]
    ranges = _project()["optional-dependencies"]
    tested = [line for extra in group.extras for line in ranges[extra]]
    lifted = [_without_upper_end(line) for line in (*tested, *group.packages)]
    return [f"{itself}[embedded]", *tools, *lifted]


def _without_upper_end(line: str) -> str:
    requirement = Requirement(line)
    lower = (str(part) for part in requirement.specifier if not part.operator.startswith("<"))
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{','.join(lower)}"


def _project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return dict(tomllib.load(file)["project"])


@cache
def _wheel() -> str:
    """The project as an editable wheel, built once for all environments."""
    folder = HOMES / "wheel"
    with DefaultIsolatedEnv() as tools:
        builder = ProjectBuilder.from_isolated_env(tools, ROOT)
        tools.install(builder.build_system_requires)
        tools.install(builder.get_requires_for_build("editable"))
        return builder.build("editable", folder)


_building = Lock()
_making: defaultdict[str, Lock] = defaultdict(Lock)
_made: set[str] = set()


def make(group: Group, *, newest: bool = False, drift: bool = False) -> str:
    """Bring the environments that its tests use up to date, once in a run; `newest`: anew, with the
    newest releases that the ranges allow. Returns what went wrong, or ""."""
    for needed in group.needed:
        with _making[needed.name]:  # groups run side by side
            if needed.name in _made:
                continue
            if wrong := _make(needed, newest, drift):
                return wrong
            _made.add(needed.name)
    return ""


def _make(group: Group, newest: bool, drift: bool) -> str:
    wanted, project = requirements(group, "loco-redis", drift=drift), _project()
    ranges = [project["dependencies"], *map(project["optional-dependencies"].get, group.extras)]
    mark = hashlib.sha256(json.dumps([wanted, ranges, sys.version]).encode()).hexdigest()
    stamp = group.home / "made-of"
    if not newest and stamp.is_file() and stamp.read_text() == mark:
        return ""
    if newest:
        shutil.rmtree(group.home, ignore_errors=True)
    with _building:
        wanted = requirements(group, _wheel(), drift=drift)
    # By this environment's pip: a copy of it for each would take longer than small groups do.
    pip = [sys.executable, "-m", "pip", "--python", str(group.python)]
    steps = [
        [sys.executable, "-m", "venv", "--without-pip", str(group.home)],
        [*pip, "install", "--quiet", "--disable-pip-version-check", *wanted],
    ]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stdout + done.stderr
    stamp.write_text(mark)
    return ""


_VERSIONS = """
import importlib.metadata as metadata, json, sys
print(json.dumps({name: metadata.version(name) for name in sys.argv[1:]}))
"""


def versions(group: Group) -> dict[str, str]:
    """Of the distributions that it shows."""
    command = [str(group.python), "-c", _VERSIONS, *group.shown]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))
