"""How many lanes a process has for a backlog; pure."""

from __future__ import annotations

from loco_redis.orchestration.agents import ScalingSection
from loco_redis.orchestration.agents._scaling import Scaling


def scaling(cooldown: float = 10.0, factor: float = 1.5) -> Scaling:
    return Scaling(
        ScalingSection(min_agents=2, max_agents=10, scaling_factor=factor, cooldown=cooldown)
    )


def test_lanes_follow_the_backlog_between_min_and_max() -> None:
    """`scaling_factor` for each message, rounded up."""
    lanes = scaling(cooldown=0)
    asked = [0, 1, 2, 3, 6, 7, 1000, 0]
    assert [lanes.lanes(n, float(at)) for at, n in enumerate(asked)] == [2, 2, 3, 5, 9, 10, 10, 2]
    assert scaling(factor=0.5).lanes(9, 0.0) == 5


def test_it_grows_at_once_and_shrinks_after_the_cooldown() -> None:
    """To the most that was wanted within it, step by step."""
    lanes = scaling(cooldown=10)
    seen = [(0.0, 6), (1.0, 0), (5.0, 2), (9.9, 0), (10.1, 0), (15.1, 0), (16.0, 1000)]
    assert [lanes.lanes(n, at) for at, n in seen] == [9, 9, 9, 9, 3, 2, 10]
