"""The plots of docs/benchmarks.md are drawn from the figures that are kept beside it."""

from __future__ import annotations

import runpy
from pathlib import Path

from tests.docs.test_documents import ROOT


def test_the_kept_figures_can_be_drawn(tmp_path: Path) -> None:
    """Both plots, with something in them."""
    runpy.run_path(str(ROOT / "docs/plots.py"))["draw"](tmp_path)
    drawn = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert drawn.keys() == {"peers.png", "queues.png"}
    assert min(drawn.values()) > 10_000
