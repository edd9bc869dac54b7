"""Fixtures of the fault tests: what was done and seen is written down for docs/reliability.md."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.schedulers import any_schedulers, schedulers
from tests.workers import workers

__all__ = ["any_schedulers", "schedulers", "workers"]

Seen = Callable[[str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--figures", type=Path, help="a file for what the tests did and saw")


@pytest.fixture
def seen(request: pytest.FixtureRequest) -> Iterator[Seen]:
    """`seen(done, result)`: what this test did, how often, and what it saw; kept if it passes."""
    told: list[dict[str, str]] = []

    def tell(done: str, result: str) -> None:
        told.append({"test": request.node.name, "done": done, "seen": result})

    failed_before = request.session.testsfailed
    yield tell
    path: Path | None = request.config.getoption("--figures", None)
    if path is not None and request.session.testsfailed == failed_before:
        before = json.loads(path.read_text()) if path.exists() else []
        path.write_text(json.dumps([*before, *told], indent=2) + "\n")
