"""Fixtures of the command line's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write_trace(tmp_path: Path) -> Callable[..., Path]:
    """Write lines to a trace file under the right header; returns its path."""

    def write(*lines: str, header: str = "TIMESTAMP,ContextTokens,GeneratedTokens") -> Path:
        path = tmp_path / "trace.csv"
        path.write_text("\n".join((header, *lines)) + "\n")
        return path

    return write
