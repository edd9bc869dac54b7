"""How a run with a host that was cut off is judged, and the wires of kernels without netem."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.partition import judged
from benchmarks.wire import Wire
from loco_redis.cli._report import to_json
from loco_redis.cli.bench._figures import BenchReport, HostFigures, Verdict
from tests.cli.bench.reports import good_report

CUT = 15.0
HOSTS = ("h1", "h2", "h3")


def report(*, ok: bool = True, verdict: dict[str, Any], **of_h1: Any) -> dict[str, Any]:
    """Of one run in which h1 was cut off; what is given differs."""
    made: BenchReport = good_report(runs=1, hosts=HOSTS, lease=5.0, kill_every=None)
    run = made.runs[0]
    hosts: list[HostFigures] = [replace(host, killed=0) for host in run.hosts]
    hosts[0] = replace(hosts[0], **{"silence": 16.2, "pause": 15.4, **of_h1})
    good: Verdict = replace(run.verdict, reclaimed=3, idle_longest=5.1, reclaim_bound=7.67)
    run = replace(run, hosts=tuple(hosts), verdict=replace(good, **verdict))
    loaded: dict[str, Any] = json.loads(to_json(replace(made, ok=ok, runs=(run,))))
    return loaded


def failed(found: dict[str, Any]) -> list[str]:
    return [finding.text for finding in judged(found, "h1", CUT) if not finding.holds]


def test_a_good_run() -> None:
    found = [str(finding) for finding in judged(report(verdict={}), "h1", CUT)]
    assert all(line.startswith("ok ") for line in found)
    assert "h1 had slots again 0.40 s after it was let back" in "\n".join(found)
    assert "none idle for longer than 5.10 s (3 leases taken back" in "\n".join(found)


@pytest.mark.parametrize(
    ("verdict", "of_h1", "words"),
    [
        ({"peak": 17}, {}, "at most 17 of 16 slots"),
        ({"peak_seen": 17}, {}, "17 by the holders'"),
        ({"idle_longest": 8.0}, {}, "none idle for longer than 8.00 s"),
        ({}, {"pause": 40.0}, "h1 had slots again 25.00 s after"),
        ({}, {"pause": 3.0}, "h1 had slots again -12.00 s after"),  # it was not cut off at all
        ({}, {"silence": 0.5}, "h1 was not heard of for 0.5 s, cut off for 15 s"),
        ({}, {"killed": 1}, "no worker was started anew"),
    ],
)
def test_each_promise_is_looked_at(
    verdict: dict[str, Any], of_h1: dict[str, Any], words: str
) -> None:
    (text,) = failed(report(verdict=verdict, **of_h1))
    assert words in text


def test_a_violation_fails() -> None:
    assert len(failed(report(ok=False, verdict={"violations": ("slot 1: ...",)}))) == 1


def test_a_wire_delays_and_loses_as_it_was_told() -> None:
    wire = Wire.parse("a:b:10:2:25")
    assert wire == Wire("a", "b", 0.01, 0.002, 0.25)
    rng = random.Random(1)
    late = [wire.lateness(rng) for _ in range(10_000)]
    carried = [one for one in late if one is not None]
    assert len(carried) == pytest.approx(7500, abs=200)
    assert min(carried) == pytest.approx(0.008, abs=1e-4)
    assert max(carried) == pytest.approx(0.012, abs=1e-4)


@pytest.mark.parametrize("words", ["a:b:1:1", "a:b:1:1:x", "a:b:-1:0:0", "a:b:1:0:101"])
def test_bad_wires_are_refused(words: str) -> None:
    with pytest.raises(ValueError):
        Wire.parse(words)
