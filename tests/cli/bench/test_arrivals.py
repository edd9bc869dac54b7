"""Arrivals are drawn beforehand: the same by a seed, as many as was asked, in their shape."""

from __future__ import annotations

from collections import Counter
from itertools import takewhile
from typing import Any

import pytest

from loco_redis.cli.bench._arrivals import PROFILES, Agents, Arrival, drawn, fitted, traced
from loco_redis.cli.bench._figures import BenchPlan
from loco_redis.cli.play._trace import Recorded
from tests.cli.bench.plans import plan

TRACE = [
    Recorded(n * n / 100, 500 + 500 * (n % 7) + 20_000 * (n % 11 == 0), 20 * (n % 5))
    for n in range(500)
]


def arrivals_of(made_for: BenchPlan, place: int, places: int = 4) -> list[Arrival]:
    """Of one worker, until the end of the measured time."""
    where: dict[str, Any] = {"run": 1, "place": place, "places": places}
    if made_for.profile == "trace":
        found = traced(made_for, fitted(TRACE, made_for), **where)
    else:
        found = drawn(made_for, **where)
    end = made_for.warmup + made_for.duration
    return list(takewhile(lambda arrival: (arrival.at or 0.0) < end, found))


def fleet(made_for: BenchPlan) -> list[Arrival]:
    return [arrival for place in range(4) for arrival in arrivals_of(made_for, place)]


@pytest.mark.parametrize("profile", PROFILES)
def test_the_offered_load_is_what_was_asked(profile: str) -> None:
    """The slot time that all arrivals need is the load's share of what the slots have."""
    made_for = plan(profile=profile, load=0.5, duration=50.0, warmup=0.0)
    needed = sum(arrival.hold for arrival in fleet(made_for))
    assert needed == pytest.approx(0.5 * 4 * 50, rel=0.05)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_seed_decides_everything(profile: str) -> None:
    """A worker draws the same again; another place, run or seed draws something else."""
    made_for = plan(profile=profile)
    assert arrivals_of(made_for, 0) == arrivals_of(made_for, 0)
    assert arrivals_of(made_for, 0) != arrivals_of(made_for, 1)
    if profile != "trace":
        assert arrivals_of(made_for, 0) != arrivals_of(plan(profile=profile, seed=2), 0)


@pytest.mark.parametrize("profile", PROFILES)
def test_arrivals_are_in_order_and_of_agents_that_there_are(profile: str) -> None:
    """Moments rise; every class and every agent of it asks."""
    made_for = plan(profile=profile, duration=20.0)
    agents = Agents.of(made_for)
    found = arrivals_of(made_for, 2)
    moments = [arrival.at for arrival in found]
    assert moments == sorted(moments)
    assert all(arrival.agent in agents.members[arrival.kind] for arrival in found)
    assert {arrival.kind for arrival in found} == set(range(len(agents.classes)))
    assert min(arrival.weight for arrival in found) >= 1


def test_bursts_come_in_the_first_tenth_of_each_second() -> None:
    found = fleet(plan(profile="burst"))
    assert len(found) > 1000
    assert all(arrival.at is not None and arrival.at % 1 <= 0.1 + 1e-9 for arrival in found)


def test_a_spike_is_four_times_the_rest() -> None:
    """The middle fifth of the measured time has 2.5 times the mean rate, the rest 0.625."""
    made_for = plan(profile="spike", duration=100.0, warmup=10.0)
    seconds = Counter(int((arrival.at or 0.0) - 10) for arrival in fleet(made_for))
    spike = sum(seconds[second] for second in range(40, 60)) / 20
    calm = sum(seconds[second] for second in [*range(40), *range(60, 100)]) / 80
    assert spike / calm == pytest.approx(4.0, rel=0.1)


def test_mixed_holds_differ_by_class_and_within_it() -> None:
    """The batch class holds ten times as long as the interactive one; the mean is the plan's."""
    made_for = plan(profile="mixed", duration=50.0)
    found = fleet(made_for)
    by_kind = [[a.hold for a in found if a.kind == kind] for kind in range(3)]
    means = [sum(holds) / len(holds) for holds in by_kind]
    assert means[2] / means[0] == pytest.approx(10, rel=0.15)
    assert len(set(by_kind[0])) > 100
    assert sum(map(sum, by_kind)) / len(found) == pytest.approx(made_for.hold, rel=0.1)


def test_without_a_load_nobody_waits_for_a_moment() -> None:
    """`--load max`: arrivals have no moment, they are due when they are asked for."""
    found = drawn(plan(load=None), run=1, place=0, places=1)
    assert [next(found).at for _ in range(5)] == [None] * 5


def test_workers_share_a_trace_between_them() -> None:
    """Each request goes to one worker; together they keep the trace's order of service."""
    made_for = plan(profile="trace", warmup=0.0, duration=4.0)
    whole = arrivals_of(made_for, 0, places=1)
    parts = sorted(a for place in range(3) for a in arrivals_of(made_for, place, places=3))
    assert [(a.at, a.hold) for a in whole] == [(a.at, a.hold) for a in parts]


@pytest.mark.parametrize(
    ("trace", "said"),
    [
        ([Recorded(0.0, 10, 0)] * 3, "come at one moment"),
        ([Recorded(0.0, 0, 0), Recorded(1.0, 0, 0)], "have no tokens"),
    ],
)
def test_a_trace_that_cannot_be_fitted_is_refused(trace: list[Recorded], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fitted(trace, plan(profile="trace"))
