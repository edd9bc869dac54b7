"""What would have happened first come, first served: the ghost beside what was measured."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from loco_redis.cli.play._scenario_schedule import ROOT, Job


def fifo(jobs: Sequence[Job], capacity: int) -> list[tuple[float, float]]:
    """Of each job when it would be due and how long it would wait, in seconds, by its number.

    Computed, so without the time that messages take. A scheduler with alpha 0 comes close to it.
    """
    brought: dict[int, list[Job]] = {}
    for job in jobs:
        if job.after != ROOT:
            brought.setdefault(job.after, []).append(job)
    due = [(job.at, job.number) for job in jobs if job.after == ROOT]
    heapq.heapify(due)
    free = [0.0] * capacity  # when each slot is free again
    found = [(0.0, 0.0)] * len(jobs)
    while due:
        at, number = heapq.heappop(due)
        begin = max(at, free[0])
        end = begin + jobs[number].service
        heapq.heapreplace(free, end)
        found[number] = (at, begin - at)
        for job in brought.get(number, ()):
            heapq.heappush(due, (end, job.number))
    return found
