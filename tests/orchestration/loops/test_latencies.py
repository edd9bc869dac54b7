"""Percentiles are within the stated error of the exact ones, in bounded memory."""

from __future__ import annotations

import math
import random
import sys

import pytest

from loco_redis.orchestration.loops._latencies import RELATIVE_ERROR, Latencies


def _exact(spans: list[float], q: float) -> float:
    """Of the nearest rank."""
    return sorted(spans)[max(1, math.ceil(q * len(spans))) - 1]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [1, 2, 99, 100, 10_000])
def test_percentiles_are_within_the_error(seed: int, size: int) -> None:
    """Whatever the distribution: from microseconds to days, and with many equal spans."""
    drawn = random.Random(seed)
    spans = [10 ** drawn.uniform(-6, 5) for _ in range(size)]
    spans = [drawn.choice((span, 0.25)) for span in spans]
    latencies = Latencies()
    for span in spans:
        latencies.record(span)
    assert latencies.count == size
    assert latencies.mean == pytest.approx(sum(spans) / size)
    for q in (0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1):
        exact = _exact(spans, q)
        assert abs(latencies.quantile(q) - exact) <= RELATIVE_ERROR * exact * (1 + 1e-9)


def test_without_anything_recorded_all_is_zero() -> None:
    """Also after clearing."""
    latencies = Latencies()
    latencies.record(1.0)
    latencies.clear()
    assert (latencies.count, latencies.mean, latencies.quantile(0.5)) == (0, 0.0, 0.0)


def test_a_million_records_take_bounded_memory() -> None:
    """Less than 250 kB, whatever was recorded."""
    latencies = Latencies()
    for number in range(1_000_000):
        # 18 decades, more than the range: every bucket there can be.
        latencies.record(10 ** (number * 18 / 1_000_000 - 8))
    assert latencies.count == 1_000_000
    buckets = latencies._buckets
    assert 1_700 < len(buckets) <= 1_730
    parts = [*buckets, *buckets.values()]
    assert sys.getsizeof(buckets) + sum(map(sys.getsizeof, parts)) < 250_000


def test_extremes_are_clamped() -> None:
    """No time at all, and more than 30 years, are counted at the ends of the range."""
    latencies = Latencies()
    for span in (0.0, -1.0, 1e30):
        latencies.record(span)
    assert latencies.quantile(0) == pytest.approx(1e-6, rel=RELATIVE_ERROR)
    assert latencies.quantile(1) == pytest.approx(1e9, rel=RELATIVE_ERROR)
