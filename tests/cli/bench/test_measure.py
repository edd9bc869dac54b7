"""The figures of made-up runs, whose right answers are known; the oracle finds what is wrong."""

from __future__ import annotations

import pytest

from loco_redis.cli.bench._clock import Reading
from loco_redis.cli.bench._figures import BenchPlan, RunFigures
from loco_redis.cli.bench._measure import Measured, figures
from loco_redis.cli.bench._result import HostResult
from loco_redis.cli.bench._server_stats import Look
from tests.cli.bench.plans import SECOND, body, handed_in, plan

BEFORE = Look(1.0, "Redis 7.0", 2.0, 100, 1000.0, 10, 5000, 3000, None, None)
AFTER = Look(11.0, "Redis 7.0", 7.0, 500, 21_000.0, 110, 25_000, 13_000, 41.0, 97.0)


def measured(made_for: BenchPlan, *results: HostResult, peak: int = 1) -> RunFigures:
    looks = (BEFORE, AFTER)
    return figures(made_for, Measured(1, 0.0, looks, {"host-1": 0.5}, peak, 3, results))


def test_figures_of_a_run_whose_answers_are_known() -> None:
    """Two slots, four bodies: half of the slot time, and hand-offs where somebody waited."""
    made_for = plan(capacity=2)
    found = measured(
        made_for,
        handed_in(
            made_for,
            body(0, 1, 0.5, 6.0, due=0.4),  # half a second of it is warm-up
            body(0, 3, 6.001, 11.5, due=5.0),  # half a second of it is after the end
            body(1, 2, 9.0, 9.5, due=9.0),
            body(1, 4, 9.9, 10.0, due=9.8),  # nobody waited: no hand-off
        ),
    )
    assert found.grants == 3  # that began in the measured time
    assert found.grants_per_second == pytest.approx(0.3)
    assert found.utilization == pytest.approx((5.0 + 4.999 + 0.5 + 0.1) / 20)
    assert found.handoff.count == 1
    assert found.handoff.p50 == pytest.approx(0.001, rel=0.01)
    assert found.wait.count == 3
    assert found.wait.longest == pytest.approx(1.001, rel=0.01)
    assert [moment.grants for moment in found.timeline] == [0, 0, 0, 0, 0, 1, 0, 0, 2, 0]
    assert [moment.arrivals for moment in found.timeline] == [0, 0, 0, 0, 1, 0, 0, 0, 2, 0]
    assert found.timeline[0].utilization == pytest.approx(0.5)
    assert found.hosts[0].silence == 0.5
    assert found.verdict.violations == ()
    assert found.verdict.peak_seen == 2


def test_the_servers_figures_are_differences_for_each_grant() -> None:
    made_for = plan()
    server = measured(
        made_for, handed_in(made_for, *(body(0, n, n, n) for n in range(1, 11)))
    ).server
    assert server.cpu == pytest.approx(0.5)
    assert (server.scripts_per_grant, server.hints_per_grant) == (40.0, 10.0)
    assert (server.script_usec, server.script_usec_per_grant) == (50.0, 2000.0)
    assert (server.bytes_in_per_grant, server.bytes_out_per_grant) == (2000.0, 1000.0)
    assert (server.script_usec_p50, server.script_usec_p99) == (41.0, 97.0)


def test_the_oracle_finds_overlaps_wrong_order_and_too_many() -> None:
    made_for = plan(capacity=1)
    found = measured(
        made_for,
        handed_in(made_for, body(0, 1, 2.0, 3.0), body(0, 2, 2.9, 3.5), body(0, 1, 4.0, 5.0)),
        peak=2,
    ).verdict
    assert len(found.violations) == 3
    overlap, order, many = found.violations
    assert "token 2 began 0.100000 s before token 1 ended" in overlap
    assert "token 1 follows 2" in order
    assert "2 slots were held at once, the capacity is 1" in many
    assert (found.peak, found.peak_seen) == (2, 2)


def test_a_host_that_was_cut_off_pauses_and_its_slots_are_idle_until_they_are_reclaimed() -> None:
    """Of two slots in 10 s from the end of the warm-up on; the other host goes on with both."""
    made_for = plan(capacity=3)
    cut = handed_in(made_for, body(0, 1, 3.0, 3.5), body(1, 2, 3.4, 3.6), body(0, 9, 9.0, 9.1))
    other = handed_in(
        made_for,
        *(body(1, 3 + n, 6.0 + n, 6.9 + n) for n in range(5)),
        body(0, 8, 7.5, 9.0),
        body(0, 10, 9.5, 10.5),
        name="host-2",
    )
    found = measured(made_for, cut, other)
    assert [host.pause for host in found.hosts] == pytest.approx([5.6, 5.0])
    assert found.verdict.idle_longest == pytest.approx(4.0)  # slot 0; slot 2 was never used
    assert found.verdict.reclaimed == 3
    assert measured(made_for, handed_in(made_for)).hosts[0].pause == pytest.approx(10.0)


def test_a_kill_ends_a_body_and_its_slot_must_come_back_in_time() -> None:
    """Killed at 5 s with a lease of 3 s: the slot has 3 * 4/3 + 1 = 5 s."""
    made_for = plan(capacity=1)
    killed = handed_in(made_for, body(0, 1, 4.0, None), killed_at=5 * SECOND)
    for start, violations in ((9.9, 0), (10.1, 1)):
        other = handed_in(made_for, body(0, 2, start, start + 0.1), name="host-2")
        verdict = measured(made_for, killed, other).verdict
        assert verdict.reclaims == 1
        assert verdict.reclaim_longest == pytest.approx(start - 5.0)
        assert verdict.reclaim_bound == pytest.approx(5.0)
        assert len(verdict.violations) == violations


def test_a_slot_may_be_granted_to_one_who_is_killed_while_it_waits() -> None:
    """Then it comes back with that one's lease: the time counts from the second kill."""
    made_for = plan(capacity=1)
    killed = handed_in(made_for, body(0, 1, 4.0, None), killed_at=5 * SECOND)
    waited = handed_in(made_for, name="host-2", killed_at=8 * SECOND)
    other = handed_in(made_for, body(0, 2, 11.0, 11.1), name="host-3")
    verdict = measured(made_for, killed, waited, other).verdict
    assert (verdict.reclaims, verdict.reclaim_longest) == (1, pytest.approx(3.0))
    assert verdict.violations == ()


def test_clocks_of_two_machines_are_compared_with_their_doubt() -> None:
    """One machine's clock is 100 s ahead; an overlap of less than both errors proves nothing."""
    made_for = plan(capacity=1)
    one = handed_in(made_for, body(0, 1, 2.0, 3.0), domain="a", readings=(Reading(0, 0, 0.01),))
    for overlap, violations in ((0.015, 0), (0.5, 2)):
        start = 100 + 3.0 - overlap
        two = handed_in(
            made_for,
            body(0, 2, start, start + 1),
            domain="b",
            readings=(Reading(100, -100, 0.01),),
            start=100.0,
            name="host-2",
        )
        assert len(measured(made_for, one, two).verdict.violations) == violations


def test_fairness_is_of_the_agents_mean_waits() -> None:
    """Agents that wait 1 s and 3 s on average: (1 + 3)^2 / (2 * (1 + 9)) = 0.8, over all hosts."""
    made_for = plan(capacity=4)
    one = handed_in(made_for, body(0, 1, 3.0, 3.1, due=2.0, agent=0))
    two = handed_in(made_for, body(1, 2, 6.0, 6.1, due=3.0, agent=1), name="host-2")
    assert measured(made_for, one, two).jain == pytest.approx(0.8)
