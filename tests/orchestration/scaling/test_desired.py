"""The figure itself: bounded, monotone, and what it is for any load."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loco_redis.orchestration.scaling import Load, desired_workers

COUNTS = st.integers(0, 100_000)
TIMES = st.floats(0, 1000)
LOADS = st.builds(
    Load, COUNTS, COUNTS, COUNTS, service=st.none() | TIMES, arrivals=st.none() | TIMES
)
SLOS = st.floats(0.01, 1000)
CONCURRENCY = st.integers(1, 100)


@given(LOADS, SLOS, CONCURRENCY, st.integers(0, 500), st.integers(0, 500))
def test_it_is_within_its_bounds(
    load: Load, slo: float, concurrency: int, least: int, more: int
) -> None:
    """Never below min or above max, and beyond min never more than the slots keep busy."""
    found = desired_workers(load, slo=slo, concurrency=concurrency, min=least, max=least + more)
    assert least <= found <= least + more
    assert found <= max(least, math.ceil(load.slots / concurrency))


@given(LOADS, st.sampled_from(["backlog", "running", "slots"]), COUNTS, SLOS, CONCURRENCY)
def test_more_of_anything_never_asks_for_fewer(
    load: Load, what: str, more: int, slo: float, concurrency: int
) -> None:
    """It is monotone in the backlog, in what runs and in the slots."""
    facts = {name: getattr(load, name) for name in Load.__slots__}
    larger = Load(**facts | {what: facts[what] + more})
    options = {"slo": slo, "concurrency": concurrency}
    assert desired_workers(load, **options) <= desired_workers(larger, **options)


@given(LOADS, SLOS, SLOS, CONCURRENCY)
def test_a_stricter_slo_never_asks_for_fewer(
    load: Load, one: float, other: float, concurrency: int
) -> None:
    """The shorter the time, the more workers."""
    strict, loose = sorted((one, other))
    assert desired_workers(load, slo=strict, concurrency=concurrency) >= desired_workers(
        load, slo=loose, concurrency=concurrency
    )


@given(LOADS, st.integers(0, 1000), st.floats(1, 10), st.integers(0, 100))
def test_growth_is_limited_by_the_factor(
    load: Load, current: int, factor: float, least: int
) -> None:
    """To `factor` times as many or one more, but for min; shrinking is not."""
    found = desired_workers(load, current=current, factor=factor, min=least)
    assert found <= max(current * factor + 1e-6, current + 1, least)
    unlimited = desired_workers(load, min=least)
    assert found <= unlimited
    assert found == unlimited or found >= current


@given(LOADS, SLOS)
def test_what_runs_is_never_given_up(load: Load, slo: float) -> None:
    """There are lanes for all that runs, as far as there are slots."""
    assert desired_workers(load, slo=slo, concurrency=1) >= min(load.running, load.slots, 10_000)


def test_nothing_to_do_asks_for_nobody() -> None:
    """But for min."""
    assert desired_workers(Load(0, 0, 100)) == 0
    assert desired_workers(Load(0, 0, 100, service=5.0, arrivals=0.0), min=2) == 2


def test_one_worker_is_enough_to_learn_how_long_tasks_take() -> None:
    """Where nothing is known of service times, a backlog of any size asks for one."""
    assert desired_workers(Load(100_000, 0, 100)) == 1


def test_the_sum_of_both_needs() -> None:
    """3/s of 2 s keep 6 lanes busy, 90 queued of 2 s within 30 s another 6: 12 lanes, 2 of 8."""
    load = Load(backlog=90, running=5, slots=100, service=2.0, arrivals=3.0)
    assert load.lanes(30.0) == pytest.approx(12.0)
    assert desired_workers(load, slo=30.0, concurrency=8) == 2
    assert desired_workers(load, slo=30.0, concurrency=1) == 12


def test_of_one_look_what_runs_is_part_of_the_backlog() -> None:
    """Nobody knows what comes in: (90 + 10) * 2 s / 10 s."""
    assert Load(90, 10, 100, service=2.0).lanes(10.0) == pytest.approx(20.0)


@pytest.mark.parametrize("arrivals", [None, 0.0, 5.0])
def test_a_burst_is_worked_off_within_the_slo(arrivals: float | None) -> None:
    """Played through, looking each tenth of a second: of 400 tasks of 0.5 s the last starts
    within 10 s; with more coming in, too, and where nobody knows whether more do."""
    slo, service, every = 10.0, 0.5, 0.1
    work, passed, lanes, most = 400.0, 0.0, 0, 0
    coming = arrivals or 0.0
    while work >= lanes + 1:
        running = lanes
        load = Load(int(work) - running, running, 1000, service, arrivals)
        lanes = desired_workers(load, slo=slo, concurrency=1)
        most = max(most, lanes)
        work += (coming - min(lanes, work) / service) * every
        passed += every
        assert passed <= slo
    assert most <= (400 + coming * slo) * service / slo + 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slo": 0}, "slo must be a number of seconds"),
        ({"slo": float("nan")}, "slo must be a number of seconds"),
        ({"concurrency": 0}, "concurrency must be an int"),
        ({"min": -1}, "min must be an int"),
        ({"min": 3, "max": 2}, "max must not be below min, got min=3, max=2"),
        ({"factor": 0.5, "current": 1}, "factor must be a number"),
        ({"current": 1.5}, "current must be an int"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, object], message: str) -> None:
    """In one line that names the value."""
    with pytest.raises(ValueError, match=message):
        desired_workers(Load(1, 1, 1), **options)  # type: ignore[arg-type]


def test_a_load_that_cannot_be_is_refused() -> None:
    """Negative counts and times."""
    with pytest.raises(ValueError, match="backlog must be an int"):
        Load(-1, 0, 0)
    with pytest.raises(ValueError, match="service must be a number"):
        Load(1, 0, 0, service=-1.0)
