"""A report in a folder: for people, for programs, and its plots."""

from __future__ import annotations

from pathlib import Path

from loco_redis.cli._report import to_json
from loco_redis.cli.bench._figures import BenchReport
from loco_redis.cli.bench._markdown import markdown
from loco_redis.cli.bench._plots import draw


def write(report: BenchReport, folder: Path) -> Path:
    """Write `report.json`, the plots and `report.md`, whose path it returns; the folder is made
    where there is none, files of these names are written over, others are left alone.

    What was measured is kept before it is drawn: `report.json` is there even if a plot fails.
    Without matplotlib, `report.md` has no plots and says how to install it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(to_json(report) + "\n", encoding="utf-8")
    try:
        text = markdown(report, draw(report, folder))
    except ModuleNotFoundError as missing:
        text = f"{markdown(report, {})}\nThere are no plots: {missing}\n"
    path = folder / "report.md"
    path.write_text(text, encoding="utf-8")
    return path
