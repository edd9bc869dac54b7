"""What can be said of steps by looking at what they depend on; pure."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence

from loco_redis._validate import shown
from loco_redis._visible import shown as visible
from loco_redis.orchestration.plans.step import Step

MOST_STEPS = 1000
MOST_EDGES = 10_000


def problems(steps: Sequence[Step]) -> list[str]:
    """What is wrong, a text for each: duplicates, missing dependencies, a cycle, too many."""
    if not steps:
        return ["there are no steps: give at least one"]
    edges = sum(len(step.depends_on) for step in steps)
    if len(steps) > MOST_STEPS or edges > MOST_EDGES:
        return [
            f"{len(steps):,} steps with {edges:,} dependencies: at most {MOST_STEPS:,} with "
            f"{MOST_EDGES:,} are allowed, make several plans"
        ]
    times = Counter(step.name for step in steps)
    found = [
        f"{n} steps are named {shown(name)}: rename them" for name, n in times.items() if n > 1
    ]
    found += [
        f"step {shown(step.name)} depends on {shown(name)}, which is not in the plan"
        for step in steps
        for name in step.depends_on
        if name not in times
    ]
    if ring := cycle({step.name: step.depends_on for step in steps}):
        found.append(f"these steps wait for each other: {' -> '.join(map(visible, ring))}")
    return found


def cycle(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Names that depend on each other in a ring, the first one again at the end; or nothing."""
    closed: set[str] = set()
    for start in needs:
        path, inside = [start], {start}
        todo = [iter(needs[start])] if start not in closed else []
        while todo:
            below = next((name for name in todo[-1] if name in needs and name not in closed), None)
            if below is None:
                todo.pop()
                inside.discard(path[-1])
                closed.add(path.pop())
            elif below in inside:
                return [*path[path.index(below) :], below]
            else:
                path.append(below)
                inside.add(below)
                todo.append(iter(needs[below]))
    return []


def in_order(steps: Sequence[Step]) -> list[Step]:
    """Each after those it depends on; what could change places stays as it was given."""
    places = {step.name: place for place, step in enumerate(steps)}
    waits = {step.name: len(step.depends_on) for step in steps}
    below = dependents(steps)
    ready = [places[step.name] for step in steps if not step.depends_on]
    made = []
    while ready:
        step = steps[heapq.heappop(ready)]
        made.append(step)
        for name in below[step.name]:
            waits[name] -= 1
            if waits[name] == 0:
                heapq.heappush(ready, places[name])
    return made


def dependents(steps: Sequence[Step]) -> dict[str, list[str]]:
    """Name -> those that depend on it directly."""
    found: dict[str, list[str]] = {step.name: [] for step in steps}
    for step in steps:
        for name in step.depends_on:
            found[name].append(step.name)
    return found
