"""The Markdown report."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loco_redis.cli.bench._markdown import markdown
from tests.cli.bench.changes import changed
from tests.cli.bench.reports import bad_report, empty_report, good_report, no_spans

PLOTS = {name: f"{name}.png" for name in ("waits", "handoff", "timeline", "hosts")}


def test_the_head() -> None:
    """Title, answer, and the exact command."""
    lines = markdown(good_report(), PLOTS).splitlines()
    assert lines[0] == "# loco-redis bench: steady, 16 slots, 3 hosts"
    assert lines[2].startswith("**593 grants/s (median of 3 runs), 73.1 % of 16 slots used: ")
    assert lines[2].endswith("every promise held**")
    assert "    loco-redis bench run --hosts 3 --runs 3 --kill-every 15s" in lines


def test_the_sections() -> None:
    lines = markdown(good_report(), PLOTS).splitlines()
    assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == [
        "Environment", "Summary of 3 runs", "Waits in ms", "Hand-off", "Over time", "Server",
        "Hosts", "Promises", "How to read it",
    ]  # fmt: skip
    for line in (
        "| loco-redis | 0.1.0 |",
        "| Redis | redis://10.77.0.1:6379/0 |",
        "| figure | unit | min | median | max |",
        "| --- | --- | ---: | ---: | ---: |",
        "| utilisation | % | 70.5 | 73.1 | 76.0 |",
        "| batch | 168 | 8,889 | 42 | 11.9 | 113 | 234 | 471 | 893 |",
        "| 2 | 60.0 | 642 | 593 | 73.1 | 14 |",
        "| node-c | 2 | 11,852 | 0.270 | +0.04 ±0.09 | 0.160 | 3 | 11.3 |",
        "- longest without a grant: node-c, 11.80 s",
        "- errors of node-c: 3 x BackendUnavailableError",
        "- 106,765 holds looked at: no slot held twice, tokens in order",
    ):
        assert line in lines
    assert sum(line.startswith("- ") for line in lines[lines.index("## How to read it") :]) == 5


def test_tables_have_as_many_cells_in_each_row() -> None:
    for block in markdown(good_report(), PLOTS).split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1


def test_pictures_say_in_words_what_they_show() -> None:
    """Those that were drawn only."""
    text = markdown(good_report(), PLOTS)
    assert "](waits.png)" in text
    assert "![Percentile curves of the waits by class. chat: p50 1.30, p95 8.46, p99 15.5," in text
    assert "![Percentile curve of the hand-off. p50 0.454, p95 1.79," in text
    assert "on average 642/s, 593/s and 73.1 %](timeline.png)" in text
    assert "node-a: 13,037, 0.310 cores; node-b: 12,445, 0.290 cores;" in text
    assert "![" not in markdown(good_report(), {})
    assert "](<my report/hosts.png>)" in markdown(good_report(), {"hosts": "my report/hosts.png"})


def test_failures_come_early() -> None:
    text = markdown(bad_report(), PLOTS)
    assert text.index("FAILED**") < text.index("## Failures") < text.index("## Environment")
    assert "- run 2: slot 3: token 4711 began 1.2 ms before token 4710 ended\n" in text


def test_nothing_measured() -> None:
    text = markdown(empty_report(), {})
    assert "**nothing was measured: FAILED**" in text
    assert "- 2 of 3 hosts did not come" in text
    assert "## Waits" not in text


def test_nobody_waited() -> None:
    report = good_report(runs=1)
    run = replace(report.runs[0], handoff=no_spans())
    assert "Nobody was waiting when" in markdown(replace(report, runs=(run,)), {})


def _is_unseen(path: str) -> bool:
    """Curves are in the plots; of one run the summary shows the median, which is the run itself;
    the grants of all are the sum over the classes."""
    return (
        path.startswith("runs.timeline")
        or path.endswith((".curve", ".mean", "wait.count"))
        or path in {"summary.least", "summary.most", "runs.grants"}
    )


def test_no_figure_is_missing() -> None:
    """Whatever figure of a run is another one, the text is another one."""
    report = good_report(runs=1, alpha=0.25, netem="delay 10ms")
    before = markdown(report, {})
    paths = {path for path, _ in changed(report) if not _is_unseen(path)}
    seen = {path for path, other in changed(report) if markdown(other, {}) != before}
    assert paths - seen == set()


@pytest.mark.parametrize("name", ["a|b", "[x](http://y)", "<script>", "**b**", "a\n# b", "`c`"])
def test_names_are_text(name: str) -> None:
    """A host's name is neither markup nor a cell nor a line."""
    text = markdown(good_report(runs=1, hosts=(name,)), PLOTS)
    plain = markdown(good_report(runs=1, hosts=("plain",)), PLOTS)
    assert text.count("\n") == plain.count("\n")
    assert name not in text
