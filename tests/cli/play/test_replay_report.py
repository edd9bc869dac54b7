"""A replay's figures and its judgement, from values alone."""

from __future__ import annotations

from typing import Any

import pytest

from loco_redis.cli.play._replay_report import Report


def served(request: int, slot: int, start: float, end: float, waited: float) -> dict[str, Any]:
    return {
        "event": "served",
        "request": request,
        "slot": slot,
        "token": request + 1,
        "start": start,
        "end": end,
        "waited": waited,
        "ticks": request,
    }


def report(*messages: dict[str, Any], peak: int = 2) -> Report:
    made = Report(["a", "a", "b"], [1.0, 2.0, 4.0], capacity=2, speed=10.0, peak=peak)
    for message in messages:
        made.hear(message)
    return made


GOOD = (
    served(0, 0, 10.0, 12.0, 0.0),
    served(1, 1, 11.0, 13.0, 1.0),
    served(2, 0, 12.0, 14.0, 1.0),
)


def test_figures() -> None:
    """Waits are stretched to the trace's seconds; use, rate and duration are the wall clock's."""
    made = report(*GOOD)
    assert made.failures == []
    assert [(r.agent, r.grants, r.cost, r.seconds.mean) for r in made.agents()] == [
        ("a", 2, 3.0, 5.0),
        ("b", 1, 4.0, 10.0),
    ]
    assert (made.seconds, made.grants_per_second) == (4.0, 0.75)
    assert made.utilization == pytest.approx(6 / 8)
    assert made.fairness == pytest.approx(15**2 / (2 * 125))
    assert made.most_seen == 2


@pytest.mark.parametrize(
    ("made", "failure"),
    [
        (report(*GOOD[:2]), "1 of 3 requests were not served once"),
        (report(*GOOD, served(2, 1, 15.0, 16.0, 0.0)), "1 of 3 requests were not served once"),
        (report(*GOOD, peak=3), "3 slots were held at once, the capacity is 2"),
        (
            report(*GOOD[:2], served(2, 0, 11.5, 14.0, 0.0)),
            "slot 0: token 3 began 0.500000 s before token 1 ended",
        ),
        (report(peak=0), "3 of 3 requests were not served once"),
    ],
)
def test_failures(made: Report, failure: str) -> None:
    """A lost request, a repeated one, too many holders, an overlap: each is worded."""
    assert failure in made.failures
