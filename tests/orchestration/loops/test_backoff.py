"""Back-offs double, are capped, and are drawn from their whole range."""

from __future__ import annotations

import random

import pytest

from loco_redis.backoff import Backoff


def test_the_most_doubles_until_the_cap() -> None:
    """base * 2**(attempt-1), never above the cap; huge attempts overflow nothing."""
    backoff = Backoff(base=0.5, cap=10)
    assert [backoff.delay(n, random=lambda: 1.0) for n in range(1, 8)] == [0.5, 1, 2, 4, 8, 10, 10]
    assert backoff.ceiling(10**9) == 10
    assert Backoff().ceiling(1) == 1
    assert Backoff().ceiling(100) == 300


def test_delays_are_uniform_from_zero() -> None:
    """Full jitter: the mean is half of the most, and both ends are reached."""
    drawn = random.Random(1)
    delays = [Backoff(base=1, cap=8).delay(3, drawn.random) for _ in range(10_000)]
    assert 0 <= min(delays) < 0.01
    assert 3.99 < max(delays) <= 4
    assert abs(sum(delays) / len(delays) - 2) < 0.05


def test_nothing_is_waited_without_base_or_cap() -> None:
    """Both may be 0."""
    assert Backoff(base=0).delay(50) == 0
    assert Backoff(cap=0).delay(50) == 0


@pytest.mark.parametrize("bad", [-1, float("nan"), "1", None, True, 1e9])
def test_bad_figures_are_refused(bad: object) -> None:
    """Each by a ValueError that names it."""
    with pytest.raises(ValueError, match="base must be a number of seconds"):
        Backoff(base=bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cap must be a number of seconds"):
        Backoff(cap=bad)  # type: ignore[arg-type]


def test_attempts_begin_with_one() -> None:
    """There is no attempt 0."""
    with pytest.raises(ValueError, match="attempt must be an int from 1"):
        Backoff().delay(0)
