"""How many lanes a process should have. Pure."""

from __future__ import annotations

import math
from collections import deque

from loco_redis.orchestration.agents.settings import ScalingSection
from loco_redis.snapshots import Snapshot


def backlog(snapshot: Snapshot) -> int:
    """Messages that are handled or could be: neither dead nor waiting for their next attempt."""
    return max(0, snapshot.durable_tasks - snapshot.dead_tasks - snapshot.delayed_tasks)


class Scaling:
    """`scaling_factor` lanes for each message of the backlog, between `min_agents` and
    `max_agents`. It grows at once, and shrinks to the most that was wanted within `cooldown`."""

    def __init__(self, settings: ScalingSection) -> None:
        self._settings = settings
        self._wanted: deque[tuple[float, int]] = deque()  # when, how many; falling

    def lanes(self, messages: int, now: float) -> int:
        """For a backlog seen at `now`, in seconds of any clock that does not go back."""
        settings, wanted = self._settings, self._wanted
        lanes = math.ceil(messages * settings.scaling_factor)
        lanes = min(max(lanes, settings.min_agents), settings.max_agents)
        while wanted and wanted[-1][1] <= lanes:
            wanted.pop()
        wanted.append((now, lanes))
        while wanted[0][0] < now - settings.cooldown:
            wanted.popleft()
        return wanted[0][1]
