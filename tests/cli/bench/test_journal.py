"""What a worker wrote survives its SIGKILL; what a host hands in survives its journey."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from loco_redis.cli.bench._histogram import Histogram
from loco_redis.cli.bench._journal import Body, Journal, Missed, read
from loco_redis.cli.bench._result import Hold, HostResult
from tests.cli.bench.plans import SECOND, body, handed_in, plan


def test_a_journal_reads_as_it_was_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "one")
    journal.began(1, 7, 3, 2**52, 100, 200)
    journal.missed(2, 8, 300, 400)
    journal.began(0, 9, 2, 2**52 + 1, 500, 600)
    journal.ended(2**52, 700)
    journal.close()
    assert list(read(tmp_path / "one")) == [
        Body(1, 7, 3, 2**52, 100, 200, 700),
        Missed(2, 8, 300, 400),
        Body(0, 9, 2, 2**52 + 1, 500, 600, None),
    ]


def test_a_worker_that_never_wrote_has_nothing_to_say(tmp_path: Path) -> None:
    assert list(read(tmp_path / "none")) == []


def test_a_kill_leaves_all_that_was_written(tmp_path: Path) -> None:
    """A process kills itself right after a body began: the beginning is there, without an end."""
    path = tmp_path / "killed"
    program = (
        "import os, pathlib, signal; from loco_redis.cli.bench._journal import Journal; "
        f"Journal(pathlib.Path({str(path)!r})).began(0, 1, 2, 3, 4, 5); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", program], env=os.environ)
    assert ended.returncode == -signal.SIGKILL
    assert list(read(path)) == [Body(0, 1, 2, 3, 4, 5, None)]


def test_half_a_record_is_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "torn")
    journal.missed(0, 0, 1, 2)
    journal.close()
    with (tmp_path / "torn").open("ab") as file:
        file.write(b"\0" * 7)
    assert list(read(tmp_path / "torn")) == [Missed(0, 0, 1, 2)]


def test_a_result_unpacks_as_it_was_packed() -> None:
    """Also bodies whose numbers fall, and the one that was killed in the middle of its body."""
    made_for = plan()
    result = handed_in(
        made_for,
        body(3, 2**52, 1.5, 1.6),
        body(0, 2**52 + 9, 1.2, None, due=1.1, agent=4),
        Missed(1, 6, 2 * SECOND, 3 * SECOND),
        killed_at=5 * SECOND,
    )
    assert HostResult.unpacked(result.packed()) == result
    assert result.holds[0] == Hold(0, 0, 2**52 + 9, 1_100_000_000, 1_200_000_000, 5 * SECOND, True)


def test_only_what_was_due_in_the_measured_time_counts() -> None:
    """The warm-up is the first second, the measured time ten more; its late end counts in full."""
    result = handed_in(
        plan(),
        body(0, 1, 0.9, 1.0, due=0.8),  # due in the warm-up
        body(0, 2, 1.6, 1.7, due=1.5),
        body(0, 3, 12.5, 12.6, due=10.5),  # due in time, served late: it has waited 2 s
        body(0, 4, 12.7, 12.8, due=11.5),  # due too late
        Missed(0, 0, 9 * SECOND, 13 * SECOND),
    )
    assert (result.classes[0].grants, result.classes[0].unserved) == (2, 1)
    spans = Histogram(result.classes[0].wait).spans()
    assert spans.count == 3
    assert round(spans.longest, 2) == 4.0
    assert sum(result.arrivals) == 3
    assert (result.arrivals[0], result.arrivals[8], result.arrivals[9]) == (1, 1, 1)
    assert len(result.holds) == 4


def test_histograms_of_hosts_add_up() -> None:
    """Percentiles of the sum are those of all values together, within the three digits."""
    first, second = Histogram(), Histogram()
    for value in range(1, 1001):
        (first if value % 3 else second).record(value * 1_000_000)
    whole = Histogram(first.encoded())
    whole.add(Histogram(second.encoded()))
    spans = whole.spans()
    assert spans.count == 1000
    for got, expected in ((spans.p50, 0.5), (spans.p99, 0.99), (spans.longest, 1.0)):
        assert abs(got - expected) <= expected / 500
    assert spans.curve[-1] == (100.0, spans.longest)
