"""How a benchmark's report looks on a terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from loco_redis.cli.bench._figures import BenchReport
from loco_redis.cli.bench._view import render
from tests.cli.bench.changes import changed
from tests.cli.bench.drawing import drawn
from tests.cli.bench.reports import bad_report, empty_report, good_report, no_spans

_LONG = ("ip-10-0-0-12.eu-central-1.compute.internal", "ip-10-0-0-13.eu-central-1.compute.internal")


def test_the_answer_comes_first() -> None:
    """Grants, utilisation and verdict of the median run, then what was asked for."""
    lines = drawn(render(good_report()))
    assert lines[:3] == [
        "593 grants/s (median of 3 runs), 73.1 % of 16 slots used: every promise held",
        "steady, load 0.8: 3 hosts x 2 workers x 50 tasks on 16 slots of 20ms, lease 10s;",
        "60s after 5s of warm-up, 3 runs, seed 1; a worker killed every 15s",
    ]


def test_the_tables() -> None:
    """Seconds are shown as milliseconds, shares as percent; rows are medians over the runs."""
    lines = [" ".join(line.split()) for line in drawn(render(good_report()))]
    for line in (
        "figure unit min median max",
        "grants 1/s 571 593 615",
        "utilisation % 70.5 73.1 76.0",
        "hand-off p50 ms 0.437 0.454 0.470",
        "class agents grants left p50 p95 p99 p99.9 max",
        "batch 168 8,889 42 11.9 113 234 471 893",
        "all 200 35,556 42 3.35 28.1 55.8 108 247",
        "hand-off - - - 0.454 1.79 2.80 4.30 6.65",
        "server Valkey 9.1.2, 0.090 cores busy",
        "workers 1.31 cores busy",
        "a script 39.3 us on average, p50 35.7, p99 88.5",
        "a grant 91.5 us of scripts",
        "messages 2.02 scripts, 0.710 hints a grant",
        "bytes 512 in, 388 out a grant",
        "fairness 0.977 (Jain's index of the agents' mean waits, 1 = equal)",
        "host procs grants cpu clock ping errors silent",
        "node-a 2 13,037 0.310 +0.00 ±0.09 0.120 0 0.520",
        "node-c 2 11,852 0.270 +0.04 ±0.09 0.160 3 11.3",
        "errors of node-c: 3 x BackendUnavailableError",
        "9 workers of node-a killed",
        "106,765 holds looked at: no slot held twice, tokens in order",
        "most slots held at once, of 16: 16 by Redis' count, 16 by the holders'",
        "9 workers killed: 12 slots held again, at most 11.50 s later (bound 14.50 s)",
    ):
        assert line in lines
    assert lines[-1] == "every promise held"


# What is for plots and programs only.
_UNSEEN = {
    "plan.id", "plan.version", "began", "redis", "machine", "python", "redis_py",
    "runs.run", "runs.seconds", "runs.grants", "runs.arrivals_per_second",
    "runs.classes.wait.count", "runs.wait.count", "runs.handoff.count",
}  # fmt: skip


def _is_unseen(path: str) -> bool:
    if path.startswith("runs.timeline") or path.endswith((".curve", ".mean")):
        return True
    # Of one run only the median is shown, which is the run itself.
    return path in _UNSEEN or path in {"summary.least", "summary.most"}


def test_no_figure_is_missing() -> None:
    """Whatever figure of a run is another one, the picture is another one."""
    report = good_report(runs=1, alpha=0.25, netem="delay 10ms")
    before = drawn(render(report))
    seen, unseen = set(), set()
    for path, other in changed(report):  # some paths come often
        if path not in seen and not _is_unseen(path):
            (seen if drawn(render(other)) != before else unseen).add(path)
    assert unseen - seen == set()


@pytest.mark.parametrize(
    "report",
    [
        good_report(),
        good_report(runs=1, hosts=("one",), kill_every=None),
        good_report(hosts=_LONG, netem="delay 10ms 2ms loss 0.1%", alpha=0.25, load=None),
        bad_report(),
        empty_report(),
    ],
)
def test_it_fits_80_columns(report: BenchReport) -> None:
    """On a wider terminal no line of a table is longer; nothing of a number is cut off."""
    lines = drawn(render(report), width=80)
    assert all(cell_len(line) <= 80 for line in lines)
    tables = [
        line for line in lines if "±" in line or line.startswith(("class", "figure", "host "))
    ]
    assert not any(line.endswith("…") for line in lines)
    assert set(tables) <= set(drawn(render(report), width=200))


def test_long_names_are_cut_in_the_middle() -> None:
    """Hosts of one cloud differ neither at the beginning nor at the end only; numbers stay."""
    (line,) = [line for line in drawn(render(good_report(hosts=_LONG[:1]))) if "±" in line]
    assert line.startswith("ip-10-0")
    assert line.split()[0].endswith("ternal")
    assert line.split()[1:] == ["2", "39,112", "0.310", "+0.00", "±0.09", "0.120", "0", "0.520"]


def test_failures_are_red() -> None:
    """At the end, one line each; the first line says that something failed."""
    lines = drawn(render(bad_report()), colour=True)
    assert "\x1b[1;31mFAILED" in lines[0]
    tail = lines[-3:]
    assert tail[0].startswith("\x1b[31mrun 2: slot 3: token 4711 began 1.2 ms before")
    assert tail[1].startswith("\x1b[31mrun 3: host node-b did not report")
    assert "106,765 holds looked at: 1 violation" in lines
    assert any(line.endswith("17 by the holders'") for line in lines)


def test_many_failures_are_cut() -> None:
    failures = tuple(f"run 1: slot {n}" for n in range(50))
    lines = drawn(render(replace(bad_report(), failures=failures)))
    assert "run 1: slot 19" in lines
    assert lines[-2:] == ["and 30 more: see --json", "FAILED"]


def test_nothing_measured() -> None:
    lines = drawn(render(empty_report()))
    assert lines[0] == "nothing was measured: FAILED"
    assert lines[-2:] == ["2 of 3 hosts did not come", "FAILED"]


def test_a_single_run_has_no_spread() -> None:
    lines = [" ".join(line.split()) for line in drawn(render(good_report(runs=1)))]
    assert "figure unit value" in lines
    assert not any("medians" in line for line in lines)


def test_what_was_not_measured_is_a_dash() -> None:
    """Without hand-offs, percentiles of scripts or kills there are no numbers for them."""
    report = good_report(runs=1, kill_every=None)
    (run,) = report.runs
    server = replace(run.server, script_usec_p50=None, script_usec_p99=None)
    verdict = replace(run.verdict, reclaims=0, reclaim_longest=None)
    hosts = tuple(replace(host, killed=0) for host in run.hosts)
    run = replace(run, handoff=no_spans(), server=server, verdict=verdict, hosts=hosts)
    lines = [" ".join(line.split()) for line in drawn(render(replace(report, runs=(run,))))]
    assert "hand-off - - - - - - - -" in lines
    assert "a script 37.9 us on average" in lines
    assert not any("killed" in line for line in lines)


def test_a_kill_outside_of_a_body_frees_nothing() -> None:
    report = good_report(runs=1)
    (run,) = report.runs
    verdict = replace(run.verdict, reclaims=0, reclaim_longest=None)
    lines = drawn(render(replace(report, runs=(replace(run, verdict=verdict),))))
    assert "3 workers killed: none of them held a slot that somebody needed again" in lines


def test_clocks_of_other_machines() -> None:
    """Two machines that were started days apart have clocks that differ by as much."""
    report = good_report(runs=1, hosts=("a", "b"))
    (run,) = report.runs
    second = replace(run.hosts[1], offset=run.hosts[0].offset - 3 * 86400)
    run = replace(run, hosts=(run.hosts[0], second))
    assert any("-3d00h ±0.07" in line for line in drawn(render(replace(report, runs=(run,)))))


def test_names_cannot_take_over_the_terminal() -> None:
    report = good_report(runs=1, hosts=("[red]x\x1b[2J\n",))
    text = "\n".join(drawn(render(report)))
    assert "[red]" in text
    assert "\x1b" not in text


def test_the_answer_agrees_with_the_summary() -> None:
    """Of an even number of runs the median lies between two."""
    report = good_report(runs=2)
    (grants,) = (row for row in report.summary if row.name == "grants")
    grants = replace(grants, median=(grants.least + grants.most) / 2)
    lines = drawn(render(replace(report, summary=(grants,))))
    assert lines[0].startswith("604 grants/s (median of 2 runs)")
    assert "grants 1/s 593 604 615" in [" ".join(line.split()) for line in lines]
