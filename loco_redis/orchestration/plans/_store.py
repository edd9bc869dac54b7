"""What is known of one plan in Redis, and how it changes: a method for each script.

Every script may be repeated without harm, as `Caller` does.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from loco_redis._endpoint import Endpoint, resolve
from loco_redis.errors import UnknownPlanError
from loco_redis.orchestration.plans import _graph
from loco_redis.orchestration.plans._caller import Caller
from loco_redis.orchestration.plans._keys import REGISTRY, PlanKeys
from loco_redis.orchestration.plans.status import PlanResult, PlanStatus, of_reply

if TYPE_CHECKING:
    from loco_redis.orchestration.plans.plan import Plan, Where

_PATIENCE = 30.0  # seconds for which Redis may be away
_PAGE = 50  # results read at once, each up to 1 MiB


@dataclass(frozen=True)
class Stored:
    """What plan_open.lua has found or stored."""

    digest: str
    definition: dict[str, Any]
    inputs: Any


@dataclass(frozen=True)
class Claim:
    """A step that was given to this runner; `place` in the stored plan, from 0."""

    place: int
    fence: int
    attempt: int
    failures: int

    @property
    def number(self) -> str:
        """As scripts know it."""
        return f"{self.place + 1:04d}"


@dataclass(frozen=True)
class Look:
    """What plan_claim.lua has given; `wait` seconds until it may give more by itself."""

    state: str
    left: int
    wait: float
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Verdict:
    """What became of a finished attempt: ok, already, or stale; the step's state now."""

    verdict: str
    state: str
    left: int


class Store:
    """One plan at one Redis; made by `opened`.

    Attributes:
        stored: once `open` has been called.
    """

    stored: Stored

    def __init__(self, caller: Caller, plan_id: str) -> None:
        self.caller, self.plan_id = caller, plan_id
        self.keys = PlanKeys(plan_id)

    @property
    def unknown(self) -> UnknownPlanError:
        return UnknownPlanError(self.plan_id, self.caller.where)

    async def open(self, plan: Plan, digest: str, inputs: str, ttl: float) -> Stored:
        """Store a plan whose steps are in order, unless there is one; enter it into the list."""
        below = _graph.dependents(plan.steps)
        numbers = {step.name: f"{place:04d}" for place, step in enumerate(plan.steps, 1)}
        rows: list[str | int] = []
        for step in plan.steps:
            dependents = ",".join(numbers[name] for name in below[step.name])
            rows += [len(step.depends_on), f"{step.on_failure}|{step.retries}|{dependents}"]
        facts = (digest, json.dumps(plan.to_dict()), plan.name, inputs, round(ttl * 1000))
        _, digest_, definition, inputs_, state = await self._run("plan_open", *facts, *rows)
        if state == b"running":
            await self._enlist("")
        self.stored = Stored(digest_.decode(), json.loads(definition), json.loads(inputs_))
        return self.stored

    async def claim(
        self, owner: str, ttl: float, room: int, held: Iterable[int], adopt: bool
    ) -> Look:
        """Up to `room` steps; raises UnknownPlanError if the plan has gone meanwhile."""
        args = (owner, round(ttl * 1e6), room, int(adopt), *held)
        state, left, wait, *flat = await self._run("plan_claim", *args)
        if not state:
            raise self.unknown
        numbers = list(map(int, flat))
        claims = tuple(
            Claim(number - 1, *rest)
            for number, *rest in (numbers[at : at + 4] for at in range(0, len(numbers), 4))
        )
        return Look(state.decode(), left, wait / 1e6 if wait >= 0 else math.inf, claims)

    async def renew(self, ttl: float, claims: Sequence[Claim]) -> set[int]:
        """The places of those that are lost."""
        pairs = [word for claim in claims for word in (claim.number, claim.fence)]
        _, *lost = await self._run("plan_renew", round(ttl * 1e6), *pairs)
        return {int(number) - 1 for number in lost}

    async def finish(
        self,
        claim: Claim,
        outcome: str,
        text: str = "",
        delay: float = 0.0,
        patience: float | None = None,
    ) -> Verdict:
        """`outcome`: done (text: JSON), failed (text: the error), back."""
        args = (self.keys.channel, claim.number, claim.fence, outcome, text, round(delay * 1e6))
        verdict, state, left, plan = await self._run("plan_finish", *args, patience=patience)
        if verdict == b"gone":
            raise self.unknown
        if plan in (b"done", b"failed"):
            await self._enlist_ended()
        return Verdict(verdict.decode(), state.decode(), left)

    async def cancel(self) -> bool:
        """False: it had ended before. Raises UnknownPlanError."""
        state = await self._run("plan_cancel", self.keys.channel)
        if not state:
            raise self.unknown
        await self._enlist_ended()
        return bool(state == b"running")

    async def status(self) -> tuple[PlanStatus, dict[str, Any]]:
        """And the definition. Raises UnknownPlanError."""
        found = of_reply(self.plan_id, await self._run("plan_status"))
        if found is None:
            raise self.unknown
        return found

    async def results(self, places: Sequence[int]) -> dict[int, Any]:
        """Of those that are done."""
        found = {}
        for at in range(0, len(places), _PAGE):
            page = places[at : at + _PAGE]
            numbers = [f"{place + 1:04d}" for place in page]
            texts = await self.caller.command("HMGET", self.keys.results, *numbers)
            found.update({p: json.loads(text) for p, text in zip(page, texts, strict=True) if text})
        return found

    async def result(self) -> PlanResult:
        """As it stands."""
        status, _ = await self.status()
        names = [step.name for step in status.steps]
        results = await self.results([p for p, s in enumerate(status.steps) if s.state == "done"])
        return PlanResult(
            plan_id=self.plan_id,
            state=status.state,
            results={names[place]: value for place, value in results.items()},
            errors={s.name: s.error or "" for s in status.steps if s.state == "failed"},
            states={step.name: step.state for step in status.steps},
            seconds=(status.ended or status.server_time) - status.created,
        )

    async def _enlist(self, ttl: int | str) -> None:
        await self.caller.run("plan_enlist", self.plan_id, ttl, keys=(REGISTRY,))

    async def _run(self, script: str, *args: Any, patience: float | None = None) -> Any:
        return await self.caller.run(script, *args, keys=self.keys.all, patience=patience)

    async def _enlist_ended(self) -> None:
        """The list forgets it when its keys go."""
        ttl = await self.caller.command("HGET", self.keys.plan, "ttl")
        await self._enlist(int(ttl or 0))


@asynccontextmanager
async def opened(
    where: Where, plan_id: str | None, patience: float = _PATIENCE
) -> AsyncIterator[Store]:
    """A store with a client of its own, or with the one given. None: a new plan id. `patience`:
    seconds for which Redis may be away; a scheduler has its own.

    Raises:
        ValueError: `where` or the id is of no known form.
    """
    endpoint, settings = endpoint_of(where), getattr(where, "_settings", None)
    patience = getattr(settings, "backend_timeout", patience)
    plan_id = plan_id if plan_id is not None else uuid4().hex
    with endpoint.attached() as attached:
        client = attached.async_client()
        try:
            yield Store(Caller(client, attached.scripts, attached.redacted, patience), plan_id)
        finally:
            await attached.close_async(client)


def endpoint_of(where: Any) -> Endpoint:
    """Of a scheduler, a blocking one, a pool, or what a scheduler takes as `redis`."""
    for name in ("_core", "primary"):
        where = getattr(where, name, where)
    found = getattr(where, "_endpoint", None)
    return found if isinstance(found, Endpoint) else resolve(where)
