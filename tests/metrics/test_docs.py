"""docs/metrics.md: what it says of the metrics is what is served."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from loco_redis.metrics.catalogue import METRICS
from tests.metrics.stack import ROOT, SAMPLES, alert_queries, names_in, panel_queries

TEXT = (ROOT / "docs/metrics.md").read_text("utf-8")


def test_the_tables_are_the_catalogue() -> None:
    """Each metric once, with its type, its labels and its help; no other."""
    rows = re.findall(r"^\| `(loco_redis_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", TEXT, re.MULTILINE)
    told = {name: (kind, re.findall(r"`(\w+)`", labels), text) for name, kind, labels, text in rows}
    assert len(rows) == len(told)
    assert told == {m.name: (m.kind.value, [*m.labels], m.help) for m in METRICS.values()}


def test_queries_in_the_text_are_about_metrics_that_are_served() -> None:
    """Also those of names that were renamed since."""
    names = names_in(TEXT) | {
        n for q in (*panel_queries(), *alert_queries()) for n in names_in(q[-1])
    }
    assert names <= SAMPLES | METRICS.keys()


def test_every_panel_is_shown() -> None:
    """With its query and what it answered."""
    for title, _, expression in panel_queries():
        query = expression.replace('resource=~"$resource"', "").replace("{}", "")
        row = next(
            line for line in TEXT.splitlines() if line.startswith(f"| {title} | `{query}` |")
        )
        assert len(row.rsplit("|", 2)[1].strip()) > 0, row


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool, of Debian's prometheus")
def test_the_examples_are_promql(tmp_path: Path) -> None:
    """promtool can read each of them."""
    section = TEXT.partition("## PromQL")[2].partition("\n## ")[0]
    queries = re.findall(r"^\| .*? \| `(.+)` \|$", section, re.MULTILINE)
    assert len(queries) > 5
    rules = [f"  - record: example{n}\n    expr: {q}\n" for n, q in enumerate(queries)]
    path = tmp_path / "rules.yml"
    path.write_text("groups:\n- name: examples\n  rules:\n" + "".join(rules))
    run = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
