"""How a plan stands, and what came out of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from loco_redis.errors import BackendError

#: Of a step; of a plan they are running, done, failed, cancelled.
STATES = ("pending", "running", "done", "failed", "skipped", "cancelled")


@dataclass(frozen=True)
class StepStatus:
    """A step. Times are seconds since 1970 by the server's clock, null where it has not come to
    that; `started` is that of the last attempt. `due`: when it may be tried (pending) or its claim
    expires (running). `failures` count attempts that raised, `attempts` all. `token` is the fencing
    number of the last attempt, `owner` who runs it or ran it last."""

    name: str
    agent_id: str
    state: str
    depends_on: list[str]
    attempts: int
    failures: int
    retries: int
    owner: str
    token: int
    due: float | None
    started: float | None
    ended: float | None
    error: str | None


@dataclass(frozen=True)
class PlanStatus:
    """A plan at one moment. `state`: running, done, failed or cancelled. A plan in state running is
    run by whichever process calls run() with its id; there may be none. `finished` of `total` steps
    have ended in any way. The steps are in an order in which they can run."""

    plan_id: str
    name: str
    state: str
    finished: int
    total: int
    server_time: float
    created: float
    ended: float | None
    steps: list[StepStatus]


@dataclass(frozen=True)
class PlanResult:
    """What came out of a plan.

    Attributes:
        state: "done"; of an error's `result` also "failed" or "cancelled".
        results: of the steps that are done, by name.
        errors: of those that failed, by name.
        states: of all steps, by name.
        seconds: from the plan's first run to its end.
    """

    plan_id: str
    state: str
    results: dict[str, Any]
    errors: dict[str, str]
    states: dict[str, str]
    seconds: float


def of_reply(plan_id: str, reply: Sequence[Any]) -> tuple[PlanStatus, dict[str, Any]] | None:
    """The status and the stored definition, of what plan_status.lua replies; None: no such plan.

    Raises:
        BackendError: what is stored is not what this version writes.
    """
    now, plan, steps, errors = int(reply[0]), _pairs(reply[1]), _pairs(reply[2]), _pairs(reply[3])
    if not plan:
        return None
    try:
        definition: dict[str, Any] = json.loads(plan["definition"])
        rows = [
            _step(facts, steps[number], errors.get(number))
            for number, facts in zip(sorted(steps), definition["steps"], strict=True)
        ]
        status = PlanStatus(
            plan_id=plan_id,
            name=plan["name"],
            state=plan["state"],
            finished=len(rows) - int(plan["left"]),
            total=len(rows),
            server_time=now / 1e6,
            created=int(plan["created"]) / 1e6,
            ended=_time(plan["ended"]),
            steps=rows,
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise BackendError(
            f"plan {plan_id!r} is not stored as this version does it ({error!r}): "
            "look at it with the version that runs it"
        ) from error
    return status, definition


def _step(facts: dict[str, Any], row: str, error: str | None) -> StepStatus:
    state, _, attempts, failures, fence, owner, due, started, ended = row.split("|")
    return StepStatus(
        name=facts["name"],
        agent_id=facts["agent"],
        state=state,
        depends_on=facts["depends_on"],
        attempts=int(attempts),
        failures=int(failures),
        retries=facts["retries"],
        owner=owner,
        token=int(fence),
        due=_time(due),
        started=_time(started),
        ended=_time(ended),
        error=error,
    )


def _time(us: str) -> float | None:
    return int(us) / 1e6 or None


def _pairs(flat: Iterable[bytes]) -> dict[str, str]:
    words = [word.decode() for word in flat]
    return dict(zip(words[::2], words[1::2], strict=True))
