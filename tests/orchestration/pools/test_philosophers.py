"""Fifty philosophers, five processes, kills: nobody starves or shares a fork, nothing stops."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.orchestration.pools.philosophers import WINDOW, Meal, judge, run
from tests.servers import Server


@pytest.mark.alone
def test_fifty_philosophers(server: Server, tmp_path: Path) -> None:
    """For twelve seconds, in which two processes are killed and replaced. Afterwards no fork is
    held by those who left in peace, and nobody stands in the line."""
    evening = run(12.0, 3.0, server.url, tmp_path)
    print(evening)  # noqa: T201  figures for whoever runs it with -s
    assert evening.wrong == []
    assert evening.kills >= 2
    assert evening.least > 0
    assert evening.longest_gap < WINDOW
    rows = server.client.hgetall("loco:{table}:line")
    assert not [name for name in rows if name[:1] != b"#"]


def test_the_oracle_sees_what_is_wrong() -> None:
    """Neighbours at the same time, a token that does not rise, a failed process, a standstill."""
    together = [Meal(0, 1.0, 2.0, 0.0, [1, 1]), Meal(1, 1.5, 2.5, 0.0, [2, 1])]
    assert len(judge(together, 0.0, 3.0, 0, [0]).wrong) == 1
    stale = [Meal(0, 1.0, 2.0, 0.0, [5, 5]), Meal(1, 3.0, 4.0, 0.0, [5, 1])]
    assert len(judge(stale, 0.0, 5.0, 0, [0]).wrong) == 1
    assert judge([], 0.0, 5.0, 0, [-9]).wrong == ["a process ended with -9"]
    assert judge(stale[:1], 0.0, 9.0, 0, [0]).longest_gap == 8.0
    assert judge(stale[:1], 0.0, 9.0, 0, [0]).least == 0
