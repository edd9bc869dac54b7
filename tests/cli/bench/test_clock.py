"""A host's clock is compared with the server's: the quickest of some round trips is believed."""

from __future__ import annotations

import time

import pytest

from loco_redis.cli.bench._clock import Clock, Reading, best, domain, nearest
from loco_redis.cli.bench._timebase import Timebase
from loco_redis.cli.play._oracle import Held
from tests.cli.bench.plans import handed_in, plan


def server_time(ahead: float, delay: float = 0.0) -> tuple[int, int]:
    """What a server says whose clock is ahead of this one, after a way there and a way back."""
    time.sleep(delay)
    now = time.monotonic() + ahead
    time.sleep(delay)
    return int(now), round(now % 1 * 1e6)


def test_the_quickest_answer_counts() -> None:
    """The offset is right within the error that the reading itself states."""
    clock = Clock()
    for delay in (0.02, 0.0, 0.01):
        clock.sample(lambda delay=delay: server_time(1000.0, delay))
    (reading,) = clock.readings
    assert reading.error < 0.01
    assert abs(reading.offset - 1000.0) <= reading.error + 1e-6


def test_a_moment_is_told_by_the_reading_next_to_it() -> None:
    readings = [Reading(0.0, 5.0, 0.1), Reading(10.0, 5.5, 0.2)]
    assert nearest(readings, 4.0).offset == 5.0
    assert nearest(readings, 6.0).offset == 5.5
    assert best(readings).at == 0.0


def test_hosts_of_one_machine_are_compared_exactly() -> None:
    """They share the readings of the one that had the best, and there is no doubt between them."""
    made_for = plan()
    one = handed_in(made_for, readings=(Reading(0.0, 7.0, 0.5),))
    two = handed_in(made_for, readings=(Reading(0.0, 7.2, 0.1),), name="host-2")
    timebase = Timebase([one, two])
    assert timebase.doubt("clock", "clock") == 0.0
    assert timebase.seconds("clock", 10**9) == pytest.approx(8.2)
    held = Held(0, 1, 2.0, 3.0, "clock")
    assert timebase.certain(held) is held


def test_a_body_on_another_machine_is_as_short_as_it_may_have_been() -> None:
    """So that a doubt about clocks never counts as one slot too many."""
    made_for = plan()
    results = [
        handed_in(made_for, domain=name, readings=(Reading(0.0, 0.0, 0.1),), name=name)
        for name in ("a", "b")
    ]
    timebase = Timebase(results)
    assert timebase.doubt("a", "b") == pytest.approx(0.2)
    shorter = timebase.certain(Held(0, 1, 2.0, 3.0, "a"))
    assert (shorter.start, shorter.end) == pytest.approx((2.1, 2.9))
    shortest = timebase.certain(Held(0, 1, 2.0, 2.1, "a"))
    assert (shortest.start, shortest.end) == pytest.approx((2.05, 2.05))


def test_one_machine_has_one_clock() -> None:
    assert domain() == domain()
