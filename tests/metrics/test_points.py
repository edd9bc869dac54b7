"""Readings become points: bounded in number, and nothing is lost where sums make sense."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loco_redis._replies import Standing
from loco_redis.metrics.catalogue import METRICS, Distribution, Kind, Points
from loco_redis.metrics.points import _bounded, _octaves, process_points, resource_points
from loco_redis.metrics.process import ProcessFigures
from loco_redis.metrics.reading import Reading
from loco_redis.observe.figures import Figures
from loco_redis.observe.observer import Requests
from loco_redis.snapshots import AgentSnapshot, Waiter
from tests.snapshots import made

AGENTS = 7


def _agent(number: int) -> AgentSnapshot:
    return AgentSnapshot(
        agent_id=f"agent-{number}",
        agent_type="",
        registered=True,
        queue_depth_weighted=10.0 * number,
        dmax=number,
        score=number / 10,
        queued=1,
        waiting=number,
        holding=1,
    )


def _standing() -> Standing:
    return Standing("aagent-6", 100.0, "r", "", 60.0, 1.0, 2.0, 0.0, None, 0, None, 0.0, 0.0)


@pytest.fixture
def reading() -> Reading:
    """Seven agents; the higher the number, the more of everything."""
    names = [f"agent-{number}" for number in range(AGENTS)]
    cells = {name: [((1, 20), number + 1)] for number, name in enumerate(names)}
    costs = {name: float(number) for number, name in enumerate(names)}
    return Reading(
        snapshot=made(capacity=4),
        requests=Requests((), (Waiter("agent-6", "s", "s:1", 1.0, 3, 2.5),)),
        agents=[_agent(number) for number in reversed(range(AGENTS))],
        budgets={"agent-6": _standing()},
        ceilings={},
        trust=dict.fromkeys(names, 500.0) | {"agent-0": 20.0, "agent-3": 900.0},
        slo=None,
        figures=Figures(
            costs={"agent": costs, "team": {}, "workflow": {}, "model": {}},
            waits=cells,
            refusals={},
            outcomes={},
            tokens={},
        ),
    )


def _labels(points: Points, name: str) -> dict[str, float | Distribution]:
    return {point.labels[1]: point.value for point in points[f"loco_redis_{name}"]}


def test_at_most_so_many_agents_are_told(reading: Reading) -> None:
    """Those with the highest scores; what has a sum is summed for the rest."""
    points = resource_points(reading, 2)
    assert _labels(points, "agent_score") == {"agent-6": 0.6, "agent-5": 0.5}
    assert _labels(points, "agent_queue_depth") == {
        "agent-6": 60.0, "agent-5": 50.0, "__other__": 100.0,
    }  # fmt: skip
    assert _labels(points, "agent_cost_total") == {
        "agent-6": 6.0, "agent-5": 5.0, "__other__": 10.0,
    }  # fmt: skip
    assert _labels(points, "agent_oldest_wait_seconds") == {"agent-6": 2.5, "agent-5": 0.0}
    for name, found in points.items():
        assert len(found) <= 3, name


def test_trust_is_told_where_it_says_something(reading: Reading) -> None:
    """The scores furthest from 500, above or below."""
    assert _labels(resource_points(reading, 2), "agent_trust_score") == {
        "agent-0": 20.0, "agent-3": 900.0,
    }  # fmt: skip


def test_waits_of_the_rest_are_one_summary(reading: Reading) -> None:
    """No finished lease is left out."""
    found = _labels(resource_points(reading, 2), "agent_wait_seconds")
    assert {name: value.counts for name, value in found.items()} == {  # type: ignore[union-attr]
        "agent-6": (7,), "agent-5": (6,), "__other__": (15,),
    }  # fmt: skip


def test_agents_that_redis_itself_counts_as_other_join_the_rest(reading: Reading) -> None:
    """`__other__` stands once in a metric, whoever made it."""
    costs = {**reading.figures.costs["agent"], "__other__": 100.0}
    waits = {**reading.figures.waits, "__other__": [((1, 20), 50)]}
    figures = replace(reading.figures, costs={**reading.figures.costs, "agent": costs}, waits=waits)
    points = resource_points(replace(reading, figures=figures), 2)
    assert _labels(points, "agent_cost_total") == {"__other__": 115.0, "agent-6": 6.0}
    assert len(points["loco_redis_agent_wait_seconds"]) == 2


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 10**6)), st.integers(1, 5))
def test_bounding_keeps_the_sum(values: dict[str, int], limit: int) -> None:
    """Whatever the names; there is one more at most."""
    found = _bounded(values, limit)
    assert sum(found.values()) == sum(values.values())
    assert len(found) <= limit + 1


@given(st.lists(st.integers(0, 2**45), max_size=50))
def test_octaves_fall_into_buckets_that_they_do_not_exceed(waits: list[int]) -> None:
    """Bounds of the histogram of seconds are exact for whole microseconds."""
    from collections import Counter

    octaves = (0, *range(10, 33))
    found = _octaves(Counter(wait.bit_length() for wait in waits), octaves, 1_000_000, 0.0)
    for bound, passed in found.cumulated()[:-1]:
        assert passed == sum(wait / 1e6 <= float(bound) for wait in waits)
    assert found.cumulated()[-1] == ("+Inf", len(waits))


def test_points_have_the_labels_of_their_metric(reading: Reading) -> None:
    """As many values as names, and a distribution only where the type says so."""
    figures = ProcessFigures()
    figures.answered("acquire", 0.0)
    parts = (resource_points(reading, 100), process_points("llm", figures))
    for points in parts:
        for name, found in points.items():
            metric = METRICS[name]
            for labels, value in found:
                assert len(labels) == len(metric.label_names), name
                is_many = metric.kind in (Kind.HISTOGRAM, Kind.SUMMARY)
                assert isinstance(value, Distribution) == is_many, name


def test_names_follow_the_conventions() -> None:
    """Counters end in _total, nothing else does; times are in seconds; each has a help text."""
    for metric in METRICS.values():
        assert metric.name.startswith("loco_redis_")
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER), metric.name
        assert metric.help.endswith("."), metric.name
        assert not metric.name.endswith(("_ms", "_milliseconds", "_us")), metric.name
