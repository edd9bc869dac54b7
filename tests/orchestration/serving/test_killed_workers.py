"""Workers are killed at random: every task is completed or listed dead, none is lost, and none is
run twice unless its holder died or it failed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.orchestration.serving.killed import Plan, figures, run
from tests.orchestration.serving.killed_oracle import Fate, Process, Run, judge, read
from tests.servers import Server

Fates = Mapping[str, Fate]


@pytest.mark.alone
@pytest.mark.chaos
async def test_ten_thousand_tasks(server: Server, tmp_path: Path) -> None:
    """10,000 tasks over three workers; about 20 are killed: by others at any moment, and by
    themselves when a task has begun, and when it has ended and nobody knows."""
    verdict, took = await run(server.url, tmp_path, Plan(tasks=10_000, seconds=90.0), seed=8)
    told = figures(verdict, took)
    assert not verdict.wrong, "\n".join([told, *verdict.wrong[:20]])
    assert verdict.fates["done"] + verdict.fates["dead"] == 10_000, told
    assert verdict.fates["dead"] >= 100, told  # one of a hundred always fails
    assert verdict.kills >= 5, told
    # Each kill repeats what its lanes were at, and no more.
    assert 0 < verdict.repeats <= 8 * verdict.kills, told


FIRST = Run(0, "1", "t", 5, began=1.0, kind="E")
AGAIN = Run(1, "1", "t", 6, began=3.0, kind="E")


@pytest.mark.parametrize(
    ("processes", "fates", "complaint"),
    [
        ([Process(0, [FIRST])], {"t": "lost"}, "t is lost"),
        ([Process(0, [FIRST])], {"t": "unfinished"}, "t is unfinished"),
        ([Process(0, [])], {"t": "done"}, "nobody has done it"),
        ([Process(0, [FIRST])], {"t": "dead"}, "one of its holders was alive"),
        (
            [Process(0, [FIRST]), Process(1, [AGAIN])],
            {"t": "done"},
            "but process 0 was not killed",
        ),
        (
            [Process(0, [FIRST], killed=2.0), Process(1, [AGAIN])],
            {"t": "done"},
            "its outcome had been told",
        ),
        (
            [Process(0, [Run(0, "1", "t", 5, 1.0, "E", True)], 4.0), Process(1, [AGAIN])],
            {"t": "done"},
            "before the first was killed",
        ),
        (
            [Process(0, [Run(0, "1", "t", 7, 1.0, "F")]), Process(1, [AGAIN])],
            {"t": "done"},
            "they must rise",
        ),
        (
            [Process(0, [FIRST, Run(0, "2", "t", 5, 2.0, "E", True)], 2.5)],
            {"t": "done"},
            "token 5 was given 2 times",
        ),
        ([Process(0, [FIRST, Run(0, "2", "x", 9, 2.0)])], {"t": "done"}, "never submitted"),
        (
            [Process(0, [Run(0, "1", "t", n, float(n), "F") for n in range(4)])],
            {"t": "dead"},
            "4 of 3 attempts",
        ),
    ],
)
def test_the_oracle_sees(processes: list[Process], fates: Fates, complaint: str) -> None:
    """Each thing that must not be is told in words."""
    verdict = judge({"t": complaint == "4 of 3 attempts"}, 3, processes, fates)
    assert any(complaint in line for line in verdict.wrong), verdict.wrong


def test_the_oracle_lets_pass() -> None:
    """A repeat after a kill and a retry after a failure are counted, and are not wrong."""
    begun = Run(0, "1", "t", 5, 1.0, "B", is_last=True)
    failed = Run(0, "2", "f", 4, 1.0, "F")
    retried = Run(1, "2", "f", 7, 4.0, "E")
    processes = [Process(0, [begun, failed], killed=2.0), Process(1, [AGAIN, retried])]
    verdict = judge({"t": False, "f": False}, 3, processes, {"t": "done", "f": "done"})
    assert not verdict.wrong
    assert (verdict.runs, verdict.kills, verdict.repeats, verdict.redone) == (4, 1, 1, 0)
    assert (verdict.retries, verdict.delays) == (1, [1.0])


def test_journals_are_read_up_to_the_last_whole_line(tmp_path: Path) -> None:
    """What a death has cut off counts as not written; the last run of each lane is marked."""
    path = tmp_path / "journal"
    path.write_text("B 1 a 5 1.5\nB 2 b 6 1.6\nE 1 a 5 1.7\nB 1 c 7 1.8\nK 1 c 7 1.9\nE 2 b 6 2")
    process = read(path, 3)
    assert [(run.task, run.kind, run.is_last) for run in process.runs] == [
        ("a", "E", False), ("b", "B", True), ("c", "B", True)
    ]  # fmt: skip
    assert process.killed == 1.9
    assert read(tmp_path / "none", 4, 2.0) == Process(4, [], 2.0)
