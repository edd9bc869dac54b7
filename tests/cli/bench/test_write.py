"""A report in a folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from loco_redis.cli._report import to_json
from loco_redis.cli.bench._write import write
from tests.cli.bench.reports import bad_report, good_report


def test_the_folder(tmp_path: Path) -> None:
    """It is made; the page, the JSON of --json and the plots that the page shows lie in it."""
    pytest.importorskip("matplotlib", reason="plots need the `bench` extra: matplotlib")
    report = good_report()
    path = write(report, tmp_path / "new" / "report")
    assert path == tmp_path / "new" / "report" / "report.md"
    names = {each.name for each in path.parent.iterdir()}
    assert names == {
        "report.md", "report.json", "waits.png", "handoff.png", "timeline.png", "hosts.png",
    }  # fmt: skip
    assert all(f"]({name})" in path.read_text("utf-8") for name in names if name.endswith("png"))
    kept = json.loads((path.parent / "report.json").read_text("utf-8"))
    assert kept == json.loads(to_json(report))


def test_an_older_report_is_written_over(tmp_path: Path) -> None:
    """What else lies there stays."""
    (tmp_path / "notes.md").write_text("mine")
    write(good_report(), tmp_path)
    path = write(bad_report(), tmp_path)
    assert "FAILED" in path.read_text("utf-8")
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["ok"] is False
    assert (tmp_path / "notes.md").read_text() == "mine"


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures are kept, and the page says what to install."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    path = write(good_report(), tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {"report.md", "report.json"}
    assert path.read_text("utf-8").endswith(
        "There are no plots: matplotlib is not installed: pip install 'loco-redis[bench]'\n"
    )
