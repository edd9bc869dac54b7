"""The figures of a run, on samples whose results are known by hand."""

from __future__ import annotations

import pytest

from loco_redis.cli.play._stats import Percentiles, jain


def test_percentiles_are_values_of_the_sample() -> None:
    """Of 1..100 the nearest ranks are the numbers themselves, in whatever order they come."""
    found = Percentiles.of([float(n) for n in range(100, 0, -1)])
    assert found == Percentiles(p50=50, p95=95, p99=99, mean=50.5)


@pytest.mark.parametrize(
    ("sample", "p50", "p95", "p99"),
    [([], 0, 0, 0), ([7], 7, 7, 7), ([1, 2], 1, 2, 2), ([3, 1, 2], 2, 3, 3)],
)
def test_percentiles_of_a_small_sample(
    sample: list[float], p50: float, p95: float, p99: float
) -> None:
    """No value is made up between two others."""
    found = Percentiles.of(sample)
    assert (found.p50, found.p95, found.p99) == (p50, p95, p99)


@pytest.mark.parametrize(
    ("values", "index"),
    [([], 1.0), ([0, 0], 1.0), ([5, 5, 5], 1.0), ([1, 0, 0, 0], 0.25), ([1, 3], 0.8)],
)
def test_jains_index(values: list[float], index: float) -> None:
    """1 when all are equal or nothing is to be compared, 1/n when one has everything."""
    assert jain(values) == pytest.approx(index)
