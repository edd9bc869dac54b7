"""Several runs as one."""

from __future__ import annotations

from dataclasses import replace

from loco_redis.cli.bench import _over_runs as over_runs
from tests.cli.bench.reports import good_report, no_spans

RUNS = good_report(runs=3).runs


def test_the_middle_run() -> None:
    """By grants per second; of two the slower one."""
    assert over_runs.middle_run(RUNS).run == 2
    assert over_runs.middle_run(RUNS[:2]).run == 2


def test_what_should_not_happen_is_not_averaged_away() -> None:
    """One run with errors, a long silence and requests left over shows in the whole."""
    host = over_runs.hosts(RUNS)[2]
    assert (host.errors, host.silence) == ({"BackendUnavailableError": 3}, 11.3)
    assert over_runs.hosts(RUNS)[0].killed == 9
    batch = over_runs.classes(RUNS)[2]
    assert batch.unserved == 7 + 14 + 21
    assert batch.wait.longest == max(run.classes[2].wait.longest for run in RUNS)


def test_the_rest_are_medians() -> None:
    batch = over_runs.classes(RUNS)[2]
    assert batch.wait.p99 == RUNS[1].classes[2].wait.p99
    assert over_runs.server(RUNS) == RUNS[1].server


def test_one_run_is_itself() -> None:
    assert over_runs.hosts(RUNS[:1]) == RUNS[0].hosts
    assert over_runs.server(RUNS[:1]) == RUNS[0].server


def test_a_host_that_has_not_reported_once() -> None:
    """Its figures are those of the runs that have it."""
    runs = (RUNS[0], replace(RUNS[1], hosts=RUNS[1].hosts[:2]), RUNS[2])
    assert [host.name for host in over_runs.hosts(runs)] == ["node-a", "node-b", "node-c"]


def test_runs_without_any_span_do_not_count() -> None:
    found = over_runs.spans([no_spans(), RUNS[0].handoff])
    assert found.p50 == RUNS[0].handoff.p50
    assert over_runs.spans([no_spans()]).count == 0
