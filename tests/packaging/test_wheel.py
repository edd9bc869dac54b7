"""The built wheel works by itself in a fresh environment."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from loco_redis.adapters.catalogue import FRAMEWORKS

ROOT = Path(__file__).parents[2]
LOAD_EVERYTHING = """
import importlib, pkgutil, re, sys
import loco_redis
from loco_redis import _scripts
found = pkgutil.walk_packages(loco_redis.__path__, "loco_redis.")
# The plugin is for those who have pytest.
names = [m.name for m in found if not m.name.endswith(("__main__", "testing.plugin"))]
frameworks = set()
for name in names:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        told = re.search(r"pip install 'loco-redis\\[([a-z0-9-]+)\\]'$", str(error))
        assert told and name.startswith("loco_redis.adapters."), (name, str(error))
        frameworks.add(told[1])
for script in _scripts.VERBS:
    assert ("redis.pcall" if script == "rights" else "redis.call") in _scripts.load(script)
assert loco_redis.__file__.startswith(sys.prefix), loco_redis.__file__
print(len(names), *frameworks)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_a_fresh_environment_loads_every_module_and_script(wheel: Path, tmp_path: Path) -> None:
    """Wheel and runtime dependencies alone: every script loads, and every module imports, or says
    which extra brings the framework that it is for."""
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel]
    subprocess.run(install, check=True, capture_output=True)
    run = subprocess.run(
        [python, "-c", LOAD_EVERYTHING], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert run.returncode == 0, run.stderr
    modules, *frameworks = run.stdout.split()
    assert int(modules) > 20
    assert set(frameworks) <= {framework.extra for framework in FRAMEWORKS}
    version = subprocess.run(
        [tmp_path / "env" / "bin" / "loco-redis", "version"], capture_output=True, text=True
    )
    assert version.returncode == 0, version.stderr
    assert "0.1.0" in version.stdout
