"""What people see of a router."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BreakerState = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class BackendSnapshot:
    """A backend, as the whole fleet sees it.

    Attributes:
        state: of its breaker; half open: the next request is a probe, or one is under way.
        open_for: seconds until it is half open.
        held_for: seconds for which its provider has asked to be left alone.
        in_flight: requests that were routed there: those that wait for a slot and those that run.
        probes: how many of them are probes.
        latency: mean seconds of its recent requests; None before the first.
        picked, succeeded, failed: requests so far.
        cost: of all of them.
    """

    name: str
    model: str | None
    capacity: int
    state: BreakerState
    open_for: float
    held_for: float
    in_flight: int
    probes: int
    latency: float | None
    picked: int
    succeeded: int
    failed: int
    cost: float


@dataclass(frozen=True, slots=True)
class RouterSnapshot:
    """Of one moment.

    Attributes:
        spent: in the budget's period, or ever.
        reserved: what requests in flight are expected to cost.
        limit: the budget's; None: there is none.
    """

    name: str
    strategy: str
    spent: float
    reserved: float
    limit: float | None
    backends: tuple[BackendSnapshot, ...]

    def __getitem__(self, backend: str) -> BackendSnapshot:
        for each in self.backends:
            if each.name == backend:
                return each
        raise KeyError(backend)
