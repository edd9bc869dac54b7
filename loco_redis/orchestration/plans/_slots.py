"""What a step holds while it runs: a slot of a scheduler, or slots of a pool."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from loco_redis import _validate as validate
from loco_redis.errors import PlanError
from loco_redis.lease import Lease
from loco_redis.orchestration.plans.step import Step
from loco_redis.scheduler import AsyncLOCOScheduler


class Pool(Protocol):
    """What is used of a ResourcePool."""

    @property
    def primary(self) -> AsyncLOCOScheduler: ...

    def acquire_multiple(
        self,
        agent_id: str,
        names: Sequence[str],
        /,
        *,
        timeout: float | None = None,
        weight: float | None = None,
    ) -> AbstractAsyncContextManager[Mapping[str, Lease]]: ...


class Slots:
    """Raises:
    PlanError: something else than a scheduler or pool; a step's resources without a pool.
    """

    def __init__(self, given: AsyncLOCOScheduler | Pool, steps: Sequence[Step]) -> None:
        self._pool: Any = given if hasattr(given, "acquire_multiple") else None
        self._scheduler: Any = given
        if self._pool is None and not isinstance(given, AsyncLOCOScheduler):
            raise PlanError(
                "run a plan with an AsyncLOCOScheduler or a ResourcePool, "
                f"got {validate.shown(given)}"
            )
        for step in steps:
            if step.resources and self._pool is None:
                raise PlanError(
                    f"step {validate.shown(step.name)} needs {list(step.resources)}: "
                    "run the plan with a ResourcePool that has them"
                )
            known = getattr(self._pool, "names", step.resources)
            if unknown := [name for name in step.resources if name not in known]:
                raise PlanError(
                    f"step {validate.shown(step.name)} needs {unknown}, which the pool does not "
                    "have: add() them"
                )

    @asynccontextmanager
    async def held(self, step: Step) -> AsyncIterator[Mapping[str, Lease]]:
        """The leases by the resource's name, the one of the step's first resource in front."""
        if step.resources:
            names = list(step.resources)
            async with self._pool.acquire_multiple(step.agent, names, weight=step.weight) as leases:
                yield {name: leases[name] for name in names}
            return
        scheduler = self._scheduler if self._pool is None else self._pool.primary
        async with scheduler.acquire(step.agent, weight=step.weight) as lease:
            yield {lease.name: lease}
