"""Scenarios without processes: what is drawn from a seed, the ghost, the figures, the bars."""

from __future__ import annotations

from typing import Any

import pytest

from loco_redis.cli.play._scenario_fifo import fifo
from loco_redis.cli.play._scenario_report import Run, Waits
from loco_redis.cli.play._scenario_schedule import ROOT, SCENARIOS, Job, kind, kinds, schedule
from loco_redis.cli.play._scenario_view import bars, medians

CLASSES = {
    "burst": ["burst", "small"],
    "fairness": ["minnow", "whale"],
    "webhook_spike": ["batch", "webhook"],
    "mdash_security": ["report", "scan", "triage", "verify"],
}


def drawn(name: str, seconds: float = 10.0, seed: int = 1, **given: int) -> list[Job]:
    scenario = SCENARIOS[name]
    agents = given.get("agents", scenario.agents)
    return schedule(name, agents, given.get("capacity", scenario.capacity), seconds, seed)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_seed_gives_the_same_requests(name: str) -> None:
    """Again and again; another seed gives others, another length the same ones stretched."""
    jobs = drawn(name)
    assert jobs == drawn(name)
    assert jobs != drawn(name, seed=2)
    longer = drawn(name, seconds=20.0)
    assert [job.agent for job in longer] == [job.agent for job in jobs]
    assert [job.at for job in longer] == pytest.approx([2 * job.at for job in jobs])
    assert [job.service for job in longer] == pytest.approx([2 * job.service for job in jobs])


@pytest.mark.parametrize("name", SCENARIOS)
def test_requests_are_in_order_and_keep_the_slots_busy(name: str) -> None:
    """A number is a place, a parent comes before its children, weights are at least 1."""
    jobs = drawn(name)
    assert [job.number for job in jobs] == list(range(len(jobs)))
    assert all(ROOT <= job.after < job.number for job in jobs)
    roots = [job.at for job in jobs if job.after == ROOT]
    assert roots == sorted(roots)
    assert 0 <= roots[0] <= roots[-1] < 10
    assert sorted(kinds(jobs)) == CLASSES[name]
    assert min(job.weight for job in jobs) >= 1
    load = sum(job.service for job in jobs) / SCENARIOS[name].capacity / 10
    assert 0.7 < load < 1.4


@pytest.mark.parametrize("name", SCENARIOS)
def test_any_number_of_agents_will_do_from_the_least_one(name: str) -> None:
    """All classes have agents, and no more in all than were asked for."""
    for agents in range(SCENARIOS[name].least_agents, 40):
        jobs = drawn(name, agents=agents, capacity=2)
        assert sorted(kinds(jobs)) == CLASSES[name], agents
        assert len({job.agent for job in jobs}) <= agents


def test_the_stories() -> None:
    """A burst at one moment; a whale; a spike of 15 for each slot; a pipeline with its weights."""
    moments = {job.at for job in drawn("burst") if job.agent == "burst"}
    assert moments == {2.0}
    asked = [job.agent for job in drawn("fairness")]
    assert asked.count("whale") > len(asked) / 2
    spike = [j for j in drawn("webhook_spike") if kind(j.agent) == "webhook" and 4 <= j.at < 4.2]
    assert len(spike) >= 60
    review = drawn("mdash_security")
    weights = {"triage": 1, "scan": 2, "verify": 5, "report": 3}
    before = {"scan": "triage", "verify": "scan", "report": "verify"}
    for job in review:
        assert job.weight == weights[kind(job.agent)]
        if job.after != ROOT:
            assert kind(review[job.after].agent) == before[kind(job.agent)]
    assert len({job.agent for job in review}) > 100


def test_first_come_first_served_by_hand() -> None:
    """Two slots; the fourth request is brought about by the end of the first."""
    jobs = [
        Job(0, 0.0, "a", 1, 2.0, ROOT),
        Job(1, 0.5, "b", 1, 3.0, ROOT),
        Job(2, 1.0, "c", 1, 1.0, ROOT),
        Job(3, 0.0, "d", 1, 1.0, 0),
    ]
    assert fifo(jobs, 2) == [(0.0, 0.0), (0.5, 0.0), (1.0, 1.0), (2.0, 1.0)]
    assert fifo(jobs, 1) == [(0.0, 0.0), (0.5, 1.5), (1.0, 4.0), (2.0, 4.0)]


JOBS = [
    Job(0, 0.0, "small-1", 1.0, 2.0, ROOT),
    Job(1, 0.0, "small-2", 1.0, 2.0, ROOT),
    Job(2, 1.0, "burst", 1.0, 2.0, ROOT),
]


def served(request: int, slot: int, start: float, end: float, token: int = 0) -> dict[str, Any]:
    return {
        "request": request,
        "slot": slot,
        "token": token or request + 1,
        "due": 100.0 + JOBS[request].at,
        "start": start,
        "end": end,
        "ticks": request,
    }


GOOD = (served(0, 0, 100.0, 102.0), served(1, 1, 101.0, 103.0), served(2, 0, 102.0, 104.0))


def run_of(*messages: dict[str, Any], left: int = 0, peak: int = 2) -> Run:
    run = Run("burst", JOBS, 3, 2, 2, "balanced", 2.0, 1, start=100.0, left=left, peak=peak)
    for message in messages:
        run.hear(message)
    return run


def test_figures_by_hand() -> None:
    """Waits by class with their ghost, use, and both indices of Jain."""
    report = run_of(*GOOD).report()
    assert report.failures == []
    assert (report.requests, report.grants, report.took) == (3, 3, 4.0)
    assert report.utilization == pytest.approx(6 / 8)
    # Until second 2 they had got 2, 1 and 0 of the 2 seconds that each asked for.
    assert report.fairness_of_service == pytest.approx(1.5**2 / (3 * 1.25), abs=1e-4)
    assert report.fairness_of_waits == pytest.approx(2**2 / (3 * 2), abs=1e-4)
    small, burst = report.classes
    assert (small.name, small.agents, small.grants) == ("small", 2, 2)
    assert small.wait_seconds == Waits(0.0, 1.0, 1.0, 1.0, 0.5)
    assert burst.wait_ticks == Waits(2, 2, 2, 2, 2.0)
    assert burst.fifo_seconds.max == 1.0


@pytest.mark.parametrize(
    ("run", "failure"),
    [
        (run_of(*GOOD[:2]), "3 requests, of which 2 were served, by 2 grants"),
        (
            run_of(*GOOD, served(2, 1, 105.0, 106.0, 9)),
            "3 requests, of which 3 were served, by 4 grants",
        ),
        (run_of(*GOOD, peak=3), "3 slots were held at once, the capacity is 2"),
        (run_of(*GOOD, left=1), "1 slots and requests were left at the end"),
        (
            run_of(GOOD[0], served(1, 0, 101.5, 103.0), GOOD[2] | {"slot": 1, "start": 103.0}),
            "slot 0: token 2 began 0.500000 s before token 1 ended",
        ),
    ],
)
def test_what_did_not_hold_is_named(run: Run, failure: str) -> None:
    """Lost, repeated, too many at once, left behind, overlapping."""
    assert run.report().failures == [failure]


def test_bars() -> None:
    """The medians of steps; blanks where nothing was due; the longest is the highest."""
    found = medians([(0.0, 2.0), (0.5, 4.0), (0.9, 8.0), (3.9, 1.0)], 4.0, 4)
    assert found == [4.0, None, None, 1.0]
    assert bars([4.0, None, 0.0, 2.0], 4.0) == "█ ▁▅"
    assert bars([0.0], 0.0) == "▁"
    assert medians([], 0.0, 2) == [None, None]
