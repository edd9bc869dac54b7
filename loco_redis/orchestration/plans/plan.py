"""Plan: steps that depend on each other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from loco_redis import _validate as validate
from loco_redis._endpoint import AsyncClient
from loco_redis.errors import PlanError, PlanFailedError
from loco_redis.orchestration.plans import _graph, _mermaid
from loco_redis.orchestration.plans._json import as_json, one_line
from loco_redis.orchestration.plans._store import Store, opened
from loco_redis.orchestration.plans.context import Progress, StepContext
from loco_redis.orchestration.plans.status import PlanResult, PlanStatus
from loco_redis.orchestration.plans.step import Step

if TYPE_CHECKING:
    from loco_redis.blocking import LOCOScheduler
    from loco_redis.orchestration.plans._slots import Pool
    from loco_redis.scheduler import AsyncLOCOScheduler

    Where: TypeAlias = AsyncLOCOScheduler | LOCOScheduler | Pool | AsyncClient | str | None

Handler = Callable[[StepContext], Any]
Watcher = Callable[[Progress], Awaitable[None] | None]

_WEEK = 7 * 86_400.0
_YEAR = 365 * 86_400.0


class Plan:
    """Steps and their order. It is only a description: what runs is in Redis, under a plan id.

    Args:
        steps: in any order; `validate` says what is wrong with them.
        name: for those who look at it.

    Raises:
        PlanError: something else than a Step, or a name of more than 512 bytes.
    """

    def __init__(self, steps: Iterable[Step], name: str = "") -> None:
        self.steps = tuple(steps)
        for step in self.steps:
            if not isinstance(step, Step):
                raise PlanError(f"steps must be Step objects, got {validate.shown(step)}")
        try:
            validate.label("name", name)
        except ValueError as error:
            raise PlanError(str(error)) from None
        self.name = name

    def __repr__(self) -> str:
        return f"<Plan {self.name!r} of {len(self.steps)} steps>"

    def __eq__(self, other: object) -> bool:
        """The same name, and the same steps in any order."""
        return isinstance(other, Plan) and self._canonical() == other._canonical()

    def __hash__(self) -> int:
        return hash(self._canonical())

    # What it says

    def validate(self) -> None:
        """Raises PlanError that names duplicates, missing dependencies, and a cycle with all its
        steps (a -> b -> a)."""
        if found := _graph.problems(self.steps):
            raise PlanError("; ".join(found))

    def topological_sort(self) -> list[str]:
        """Names in an order in which they can run; what could change places is as it was given.
        Raises PlanError."""
        self.validate()
        return [step.name for step in _graph.in_order(self.steps)]

    def ready_steps(self, completed: Collection[str]) -> list[Step]:
        """Those that have not completed while all that they depend on have."""
        done = set(completed)
        return [
            step
            for step in self.steps
            if step.name not in done and done.issuperset(step.depends_on)
        ]

    def is_complete(self, completed: Collection[str]) -> bool:
        return {step.name for step in self.steps} <= set(completed)

    def to_mermaid(self, states: Mapping[str, str] | None = None) -> str:
        """A flowchart for Mermaid; steps are coloured by their states, such as "done"."""
        return _mermaid.text(self.steps, states or {})

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"name": self.name, "steps": [step.to_dict() for step in self.steps]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Of `to_dict`. Raises PlanError."""
        steps = data.get("steps") if isinstance(data, Mapping) else None
        if not isinstance(steps, list) or not data.keys() <= {"name", "steps"}:
            raise PlanError(f"a plan has steps (a list) and a name, got {validate.shown(data)}")
        return cls([Step.from_dict(step) for step in steps], data.get("name", ""))

    # Running it

    async def run(
        self,
        scheduler: AsyncLOCOScheduler | Pool,
        handlers: Mapping[str, Handler],
        inputs: Any = None,
        plan_id: str | None = None,
        on_progress: Watcher | None = None,
        *,
        concurrency: int = 16,
        claim_ttl: float = 15.0,
        ttl: float = _WEEK,
    ) -> PlanResult:
        """Run what has not been done yet, until the plan has ended; with others who do the same.

        Each step runs once, or again when a process dies, or is silent for `claim_ttl`, while
        it runs it: at least once. Whoever is cancelled gives its steps back to the others.

        Args:
            scheduler: whose slots the steps hold; a ResourcePool where they name resources.
            handlers: by the step's name, else its agent, else "*": called with a StepContext, async
                or (in a thread) plain; what it returns, a JSON value of at most 1 MiB, is the
                step's result.
            inputs: a JSON value for all steps. None: as they are stored, or {}.
            plan_id: processes that give the same one run the same plan; None makes a new one.
            on_progress: called, or awaited, when a step begins or ends in this process.
            concurrency: the most steps that this process has in hand at once; they wait for slots.
            claim_ttl: seconds of silence after which a process' steps go to others.
            ttl: seconds for which all is kept after the end.

        Raises:
            PlanError: the plan or an argument is not right; or another plan, or other inputs, are
                stored under this id.
            PlanFailedError: the plan has failed or was cancelled, now or earlier.
            BackendError, ShutdownError: what it needs is gone; run it again to go on.
            Anything that `on_progress` raises; the steps in hand are given back.
        """
        from loco_redis.orchestration.plans._run import Run

        run = Run.of(self, scheduler, handlers, on_progress, concurrency, claim_ttl)
        async with opened(scheduler, plan_id) as store:
            await self._enter(store, inputs, validate.seconds("ttl", ttl, 1, _YEAR))
            await run.until_ended(store)
            result = await store.result()
        if result.state != "done":
            raise _failure(result)
        return result

    async def _enter(self, store: Store, inputs: Any, ttl: float) -> None:
        """Store the plan, or see that it is the one that is stored."""
        ordered = Plan(_graph.in_order(self.steps), self.name)
        given = None if inputs is None else as_json("inputs", inputs)
        found = await store.open(ordered, self.digest, given or "{}", ttl)
        if found.digest != self.digest:
            there = Plan.from_dict(found.definition)
            raise PlanError(
                f"plan_id {store.plan_id!r} is another plan already: {there.difference(self)} "
                "(use another id)"
            )
        if given is not None and json.loads(given) != found.inputs:
            raise PlanError(
                f"plan_id {store.plan_id!r} has the inputs {validate.shown(found.inputs)} already, "
                f"not {validate.shown(inputs)}: leave them out, or use another id"
            )

    # What is stored

    @classmethod
    async def load(cls, where: Where, plan_id: str) -> Self:
        """The plan that is stored under an id. `where`: a scheduler, pool, URL or redis client.
        Raises UnknownPlanError."""
        async with opened(where, plan_id) as store:
            _, definition = await store.status()
        return cls.from_dict(definition)

    @staticmethod
    async def status(where: Where, plan_id: str) -> PlanStatus:
        """How it stands. Raises UnknownPlanError."""
        async with opened(where, plan_id) as store:
            return (await store.status())[0]

    @staticmethod
    async def cancel(where: Where, plan_id: str) -> bool:
        """End it for all who run it: their handlers are cancelled, and run() raises
        PlanFailedError. False: it had ended before. Raises UnknownPlanError."""
        async with opened(where, plan_id) as store:
            return await store.cancel()

    @property
    def digest(self) -> str:
        """The same for plans that are equal."""
        return hashlib.sha256(self._canonical().encode()).hexdigest()

    def difference(self, other: Plan) -> str:
        """What of this plan is not so in the other: the first thing, or nothing."""
        mine, theirs = ({step.name: step for step in plan.steps} for plan in (self, other))
        if self.name != other.name:
            return f"its name is {self.name!r}, not {other.name!r}"
        if missing := sorted(mine.keys() ^ theirs.keys()):
            has = "has a" if missing[0] in mine else "has no"
            return f"it {has} step {validate.shown(missing[0])}"
        for name, step in mine.items():
            there = theirs[name].to_dict()
            for field, value in step.to_dict().items():
                if _sorted(value) != _sorted(there[field]):
                    return (
                        f"{field} of its step {validate.shown(name)} is {validate.shown(value)}, "
                        f"not {validate.shown(there[field])}"
                    )
        return ""

    def _canonical(self) -> str:
        steps = [{k: _sorted(v) for k, v in step.to_dict().items()} for step in self.steps]
        steps.sort(key=lambda step: str(step["name"]))
        return json.dumps([self.name, steps], sort_keys=True)


def _sorted(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value


def _failure(result: PlanResult) -> PlanFailedError:
    told = [f"step {name!r}: {error}" for name, error in result.errors.items()]
    ended = sum(state == "done" for state in result.states.values())
    detail = one_line("; ".join(told)) or f"{ended} of {len(result.states)} steps are done"
    error = PlanFailedError(result.plan_id, result.state, detail)
    error.result = result
    return error
