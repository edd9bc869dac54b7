"""What a `SyncTestScheduler` plays: agents with tasks to come, and the resource they share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from loco_redis import _validate as validate
from loco_redis.models import SharedResource

LONGEST = 86_400.0
MOST_TASKS = 100_000


@dataclass(frozen=True, slots=True)
class MockAgent:
    """An agent and its tasks. Make it with `mock_agent`, whose arguments these are."""

    agent_id: str
    tasks: int = 1
    weight: float = 1.0
    duration: float = 1.0
    at: float = 0.0
    every: float = 0.0
    tokens: int | None = None
    max_concurrency: int | None = None

    def __post_init__(self) -> None:
        validate.agent_id(self.agent_id)
        validate.count("tasks", self.tasks, 0, MOST_TASKS)
        validate.weight(self.weight)
        for name in ("duration", "at", "every"):
            validate.seconds(name, getattr(self, name), 0, LONGEST)
        validate.whole("tokens", self.tokens, 0)
        validate.whole("max_concurrency", self.max_concurrency, 0)

    def arrivals(self) -> Iterator[float]:
        """When each task comes, in virtual seconds."""
        return (self.at + number * self.every for number in range(self.tasks))


def mock_agent(
    agent_id: str,
    tasks: int = 1,
    *,
    weight: float = 1.0,
    duration: float = 1.0,
    at: float = 0.0,
    every: float = 0.0,
    tokens: int | None = None,
    max_concurrency: int | None = None,
) -> MockAgent:
    """An agent of a `SyncTestScheduler`.

    Args:
        tasks: how many it has; 0 for one whose tasks the test submits.
        weight: of each task, as in `Task`.
        duration: virtual seconds for which each task holds its slot.
        at, every: the first task comes at `at`, the next ones `every` virtual seconds apart.
        tokens: of each task, counted against the resource's `tpm`.
        max_concurrency: the most slots it may hold at once; None: no cap.

    Raises:
        ValueError: any of them out of range, in one line.
    """
    return MockAgent(agent_id, tasks, weight, duration, at, every, tokens, max_concurrency)


def mock_resource(
    capacity: int = 1,
    name: str = "mock",
    *,
    rpm: int | None = None,
    tpm: int | None = None,
    rpm_burst: int | None = None,
    tpm_burst: int | None = None,
) -> SharedResource:
    """The resource of a `SyncTestScheduler`: a plain `SharedResource` that has a capacity.

    Raises:
        ValueError: a capacity that is none, or what `SharedResource` refuses.
    """
    validate.count("capacity", capacity, 0, 10**9)
    return SharedResource(name, capacity, rpm, tpm, rpm_burst, tpm_burst)
