"""What a handler of a step, and who watches a plan, is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loco_redis.lease import Lease
from loco_redis.orchestration.plans.step import Step


@dataclass(frozen=True, slots=True)
class StepContext:
    """One attempt at a step.

    Attributes:
        inputs: those of the plan.
        results: of the steps it depends on, by name; without those that failed ("continue").
        attempt: 1 at first; higher after a failure, and after another process gave it up.
        token: the fencing number of this attempt: higher than that of every earlier one of any step
            of the plan. What must not be done twice is done with it.
        lease: the slot that is held; `leases` has all of them, by the resource's name.
    """

    plan_id: str
    step: Step
    inputs: Any
    results: Mapping[str, Any]
    attempt: int
    token: int
    lease: Lease
    leases: Mapping[str, Lease]


@dataclass(frozen=True, slots=True)
class Progress:
    """A step that this process has begun or ended.

    Attributes:
        state: "running", "done", "failed", or "pending": it is to be tried again.
        finished, total: steps of the plan that have ended in any way, and all.
        error: why it failed, if it did.
    """

    plan_id: str
    step: str
    state: str
    finished: int
    total: int
    error: str | None = None
