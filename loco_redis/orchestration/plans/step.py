"""Step: one piece of work in a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

from loco_redis import _validate as validate
from loco_redis.backoff import Backoff
from loco_redis.errors import PlanError

OnFailure = Literal["cancel", "skip", "continue"]
_DAY = 86_400.0
_MOST_RETRIES = 1000
_BACKOFF = Backoff()


@dataclass(frozen=True, slots=True, init=False)
class Step:
    """A piece of work that holds a slot of the scheduler while it runs.

    Attributes:
        name: of the step in its plan.
        agent: the agent that asks for the slot; by default the step's name.
        depends_on: names of steps that must have ended before.
        weight: of the task that waits for the slot.
        resources: of a ResourcePool, all held while it runs; none: the scheduler's, or the pool's
            primary one.
        retries: how often it is tried again after it has failed. That its process died, that its
            slot was lost, or that another process took it over, is no failure.
        backoff: how long to wait before that; a number of seconds stands for `Backoff(number)`.
        timeout: seconds that an attempt may take from holding the slot; None: no limit.
        on_failure: what becomes of the steps that depend on it once it has failed for good:
            "cancel": they are cancelled, and the plan has failed; "skip": they are skipped;
            "continue": they run without its result. All other steps go on in each case.

    Raises:
        PlanError: any of them out of range.
    """

    name: str
    agent: str = ""
    depends_on: tuple[str, ...] = ()
    weight: float = 1.0
    resources: tuple[str, ...] = ()
    retries: int = 0
    backoff: Backoff = _BACKOFF
    timeout: float | None = None
    on_failure: OnFailure = "cancel"

    def __init__(
        self,
        name: str,
        agent: str | None = None,
        depends_on: Iterable[str] = (),
        weight: float = 1.0,
        resources: Iterable[str] = (),
        retries: int = 0,
        backoff: Backoff | float = 1.0,
        timeout: float | None = None,
        on_failure: OnFailure = "cancel",
    ) -> None:
        try:
            validate.agent_id(name)
        except ValueError as error:
            raise PlanError(str(error).replace("agent id", "name of a step")) from None
        try:
            validate.agent_id(name if agent is None else agent)
            validate.weight(weight)
            validate.count("retries", retries, 0, _MOST_RETRIES)
            found = backoff if isinstance(backoff, Backoff) else Backoff(backoff)
            if timeout is not None:
                timeout = validate.seconds("timeout", timeout, 0.001, 7 * _DAY)
            if on_failure not in get_args(OnFailure):
                raise ValueError(
                    f"on_failure must be 'cancel', 'skip' or 'continue', "
                    f"got {validate.shown(on_failure)}"
                )
            needs, wants = _names("depends_on", depends_on), _names("resources", resources)
        except ValueError as error:
            raise PlanError(f"step {validate.shown(name)}: {error}") from None
        values = (name, agent or name, needs, float(weight), wants, retries, found, timeout)
        for field, value in zip(fields(self), (*values, on_failure), strict=True):
            object.__setattr__(self, field.name, value)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        lists = {"depends_on": list(self.depends_on), "resources": list(self.resources)}
        return {**asdict(self), **lists}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Of `to_dict`. Raises PlanError."""
        known = {field.name for field in fields(cls)}
        if not isinstance(data, Mapping) or not data.keys() <= known or "name" not in data:
            raise PlanError(f"a step has a name and any of {sorted(known)}, got {_cut(data)}")
        rest = dict(data)
        if isinstance(backoff := rest.get("backoff"), Mapping):
            if not backoff.keys() <= {"base", "cap"}:
                raise PlanError(f"backoff has base and cap, got {_cut(backoff)}")
            try:
                rest["backoff"] = Backoff(**backoff)
            except ValueError as error:
                raise PlanError(f"step {validate.shown(data['name'])}: {error}") from None
        return cls(**rest)


def _cut(data: object) -> str:
    return validate.shown(dict(data) if isinstance(data, Mapping) else data)


def _names(what: str, given: Iterable[str]) -> tuple[str, ...]:
    names = given if isinstance(given, str) else tuple(given)
    if isinstance(names, str) or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"{what} must be a list of names, got {validate.shown(given)}")
    if len(set(names)) < len(names):
        raise ValueError(f"{what} names the same twice: {validate.shown(list(names))}")
    return names
