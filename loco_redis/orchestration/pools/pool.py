"""ResourcePool: several resources, and work that needs more than one of them at the same time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from loco_redis import _validate as validate
from loco_redis._acquisition import Acquisition
from loco_redis._endpoint import AsyncClient
from loco_redis._holding import Wish
from loco_redis.errors import AcquireTimeoutError, ShutdownError
from loco_redis.lease import Lease
from loco_redis.models import SharedResource, Task
from loco_redis.orchestration.pools._gathering import Gathering
from loco_redis.orchestration.pools._line import Line
from loco_redis.scheduler import AsyncLOCOScheduler

# Each of these holds the rules of one resource.
_OF_ONE_RESOURCE = ("budget", "enforcer", "trust_scorer", "slo")


class ResourcePool:
    """The schedulers of several resources; each opens when it is first used.

    Resources of one group (`SharedResource(..., group="g")`) are acquired together by one script:
    all or none, and nothing is held while waiting. Others are acquired one after the other, in the
    order of their full names.

    Args:
        redis: as for AsyncLOCOScheduler; so are
        options: which hold for every resource of the pool.

    Raises:
        ValueError: bad arguments, in one line.
    """

    def __init__(self, *, redis: str | AsyncClient | None = None, **options: Any) -> None:
        if own := [name for name in _OF_ONE_RESOURCE if options.get(name) is not None]:
            raise ValueError(f"{own[0]} belongs to one resource: give it to pool.add(), not here")
        self._redis, self._options = redis, options
        self._schedulers: dict[str, AsyncLOCOScheduler] = {}
        self._resources: dict[str, SharedResource] = {}
        self._groups: dict[str, list[str]] = {}  # full names
        self._lines: dict[str, Line] = {}
        self._closed = False

    def __repr__(self) -> str:
        names = ", ".join(resource.full_name for resource in self._resources.values())
        return f"<ResourcePool {names or 'empty'}{' closed' if self._closed else ''}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def add(self, resource: SharedResource, **options: Any) -> AsyncLOCOScheduler:
        """One more resource; `options` are those of its scheduler alone. Returns the scheduler.

        Raises:
            ValueError: there is one of this name, or an option is wrong.
        """
        if not isinstance(resource, SharedResource):
            raise ValueError(f"add() takes a SharedResource, got {validate.shown(resource)}")
        if resource.name in self._schedulers:
            raise ValueError(f"the pool has a resource {resource.name!r}: choose another name")
        scheduler = AsyncLOCOScheduler(
            resource=resource, **{"redis": self._redis, **self._options, **options}
        )
        self._schedulers[resource.name] = scheduler
        self._resources[resource.name] = resource
        if resource.group is not None:
            self._groups.setdefault(resource.group, []).append(resource.full_name)
        return scheduler

    def get(self, name: str) -> AsyncLOCOScheduler:
        """The scheduler of a resource. Raises ValueError for a name that was not added."""
        self._check(name)
        return self._schedulers[name]

    @property
    def primary(self) -> AsyncLOCOScheduler:
        """The scheduler of the first resource. Raises ValueError while there is none."""
        if not self._schedulers:
            raise ValueError("the pool is empty: add() a resource first")
        return next(iter(self._schedulers.values()))

    @property
    def names(self) -> tuple[str, ...]:
        """In the order in which they were added, without their groups."""
        return tuple(self._schedulers)

    async def utilization(self) -> dict[str, float]:
        """Slots held / capacity of each resource, over all processes; each as it is at a moment."""
        snapshots = await asyncio.gather(*(each.snapshot(0) for each in self._schedulers.values()))
        return {
            name: snapshot.utilization
            for name, snapshot in zip(self._schedulers, snapshots, strict=True)
        }

    def acquire_multiple(
        self,
        agent_id: str,
        names: Iterable[str],
        task: Task | None = None,
        *,
        weight: float | None = None,
        timeout: float | None = None,
    ) -> MultiAcquisition:
        """`async with pool.acquire_multiple("agent", ["llm_api", "gpu"]) as leases:` holds a slot
        of each; `leases["gpu"]` is a Lease.

        Args:
            weight: of the task that each resource sees; 1 without it and a `task`.
            timeout: seconds for all of it; 0 takes free slots or fails.

        Raises:
            ValueError: at once, for bad arguments. When entered what `acquire` raises; then nothing
            is held. When left: LeaseLostError, if one was lost.
        """
        wanted = self._wanted(names)
        if weight is None and task is None:
            weight = 1.0
        wish = Wish.of(agent_id, task, weight, timeout, "error")
        return MultiAcquisition(self, wanted, wish)

    async def aclose(self) -> None:
        """Close all schedulers: waiters get ShutdownError, leases still held are lost."""
        self._closed = True
        await asyncio.gather(*(line.aclose() for line in self._lines.values()))
        await asyncio.gather(*(each.aclose() for each in self._schedulers.values()))

    def _check(self, name: str) -> None:
        if name not in self._schedulers:
            known = ", ".join(self._schedulers) or "none"
            raise ValueError(f"no resource {validate.shown(name)} in the pool: it has {known}")

    def _wanted(self, names: Iterable[str]) -> list[str]:
        if isinstance(names, str):
            raise ValueError(
                f"names must be a list of names, got the str {names!r}: use [{names!r}]"
            )
        wanted = list(names)
        if not wanted:
            raise ValueError("names must not be empty: name the resources that are needed")
        for name in wanted:
            self._check(name)
        if len(set(wanted)) < len(wanted):
            twice = next(name for name in wanted if wanted.count(name) > 1)
            raise ValueError(f"{twice!r} is named twice: an agent gets one slot of each")
        return wanted

    def _parts(self, names: Sequence[str]) -> list[list[str]]:
        """What is acquired together, in the order of the full names."""
        parts: dict[str, list[str]] = {}
        for name in sorted(names, key=lambda each: self._resources[each].full_name):
            group = self._resources[name].group
            # A group's names stand together in that order: all begin by `group/`.
            parts.setdefault(name if group is None else f"{group}/", []).append(name)
        return list(parts.values())

    async def _line(self, name: str) -> Line:
        """Of the group that the resource is in."""
        group = self._resources[name].group
        assert group is not None
        session = await self._schedulers[name]._use()
        if self._closed:
            raise ShutdownError(self._resources[name].full_name)
        if group not in self._lines:
            self._lines[group] = Line(group, self._groups[group], session.endpoint)
        return self._lines[group]


class MultiAcquisition:
    """`async with pool.acquire_multiple(...) as leases:`; for one use."""

    def __init__(self, pool: ResourcePool, names: list[str], wish: Wish) -> None:
        self._pool, self._names, self._wish = pool, names, wish
        self._held: contextlib.AsyncExitStack | None = None
        self._leases: dict[str, Lease] = {}

    def __repr__(self) -> str:
        state = "holding" if self._leases else "not holding"
        return f"<MultiAcquisition {', '.join(self._names)} {state}>"

    async def __aenter__(self) -> dict[str, Lease]:
        if self._held is not None:
            raise RuntimeError("an acquisition can be entered once: call acquire_multiple() again")
        self._held = contextlib.AsyncExitStack()
        timeout = self._wish.timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        async with contextlib.AsyncExitStack() as stack:
            for part in self._pool._parts(self._names):
                if self._pool._resources[part[0]].group is not None:
                    await self._enter_group(stack, part, deadline)
                else:
                    scheduler = self._pool._schedulers[part[0]]
                    left = None if deadline is None else max(0.0, deadline - time.monotonic())
                    one = Acquisition(scheduler, self._wish._replace(timeout=left))
                    self._leases[part[0]] = await stack.enter_async_context(one)
            self._held = stack.pop_all()
        return {name: self._leases[name] for name in self._names}

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._held is not None
        self._leases.clear()
        await self._held.__aexit__(exc_type, exc, traceback)

    async def _enter_group(
        self, stack: contextlib.AsyncExitStack, names: list[str], deadline: float | None
    ) -> None:
        line = await self._pool._line(names[0])
        schedulers = [self._pool._schedulers[name] for name in names]
        gathering = Gathering(line, schedulers, self._wish, deadline)
        try:
            while True:
                claims = await gathering.claims()
                try:
                    async with contextlib.AsyncExitStack() as held:
                        # After their release: the stack runs backwards.
                        held.callback(line.lease_ended)
                        for name, scheduler, claim in zip(names, schedulers, claims, strict=True):
                            wish = self._wish._replace(timeout=0, claim=claim[1:])
                            one = Acquisition(scheduler, wish)
                            self._leases[name] = await held.enter_async_context(one)
                        stack.push_async_exit(held.pop_all())
                    return
                except AcquireTimeoutError:
                    # Lost between the two scripts: its session expired, or is uncertain.
                    await gathering.pause()
                finally:
                    for claim in claims:
                        claim.drop()
        finally:
            gathering.leave()
