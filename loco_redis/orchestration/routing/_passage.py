"""One request: decide where it goes, wait for a slot there, report what became of it."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from loco_redis.adapters._calls.failures import Failure, failure_of
from loco_redis.errors import BackendError, LocoRedisError, NoBackendError, ShutdownError
from loco_redis.lease import Lease
from loco_redis.models import Task
from loco_redis.orchestration.routing._fleet import Decision, Outcome, Refused
from loco_redis.orchestration.routing.route import Route

if TYPE_CHECKING:
    from loco_redis._acquisition import Acquisition
    from loco_redis.orchestration.routing.router import Router

_log = logging.getLogger("loco_redis")

# Who waited longer for a slot asks whether the backend still works.
_LONG_WAIT = 0.05  # seconds
# A caller whose work is done does not wait longer for Redis; the report goes on without it.
_PATIENCE = 2.0


class _Moved(Exception):
    """The breaker opened while the request waited; it never leaves this module."""


@dataclass(frozen=True, slots=True)
class Wish:
    """The checked arguments of a route."""

    agent_id: str
    key: str
    weight: float
    tokens: tuple[int, int]
    timeout: float | None
    exclude: frozenset[str]
    request_id: str
    attempt: int


class Passage:
    """`async with router.route(...) as route:`; for one use. Whatever it raises, and whenever it is
    cancelled, neither a slot nor a place at a backend is kept."""

    def __init__(self, router: Router, wish: Wish, rounded: Callable[[str, float], float]) -> None:
        self._router, self._wish, self._rounded = router, wish, rounded
        self._entered = False

    async def __aenter__(self) -> Route:
        if self._entered:
            raise RuntimeError("a route can be entered once: call route() again")
        self._entered = True
        await self._router._use()
        started = time.monotonic()
        while True:
            decision = await self._decide()
            lease = await self._slot(decision, started)
            if lease is not None:
                break
        self._decision, self._started = decision, time.monotonic()
        self._route = Route(
            self._router.backends[decision.backend],
            lease,
            self._wish.request_id,
            self._wish.attempt,
            decision.probe,
            decision.low,
            self._router._clients,
            self._rounded,
        )
        return self._route

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        latency = time.monotonic() - self._started
        failure = failure_of(exc) if exc is not None else None
        outcome: Outcome = "ok" if exc is None else "none" if failure is None else "failed"
        pause = (failure.pause if failure is not None else None) or 0.0
        cost = self._route.cost
        if cost is None:
            expected = self._route.backend.cost_of(*self._wish.tokens)
            cost = expected if outcome == "ok" else 0.0
        report = self._router._store.start(
            self._report(self._decision, outcome, latency, cost, pause), "report"
        )
        try:
            await self._hold(failure)
        finally:
            try:
                await self._acquisition.__aexit__(exc_type, exc, traceback)
            finally:
                await _confirmed(report)

    async def _decide(self) -> Decision:
        router, wish = self._router, self._wish
        id = router._fleet.new_id()
        router._flying.add(id)
        asking = router._store.start(
            router._fleet.decide(id, wish.key, wish.tokens, wish.exclude), "decide"
        )
        try:
            decision = await asyncio.shield(asking)
        except BaseException:
            router._store.start(self._withdraw(asking, id), "withdraw")
            raise
        if isinstance(decision, Refused):
            router._flying.discard(id)
            excluded = len(wish.exclude)
            broken = len(router.backends) - excluded
            raise NoBackendError(router.name, excluded, broken, decision.wait)
        return decision

    async def _withdraw(self, asking: asyncio.Task[Decision | Refused], id: str) -> None:
        await asyncio.wait([asking])
        await self._report(Decision(id, "", 0, False, False), "none")

    async def _slot(self, decision: Decision, started: float) -> Lease | None:
        """A slot of the backend; None: its breaker has opened while this waited."""
        timeout = self._wish.timeout
        if timeout is not None:
            timeout = max(0.0, timeout - (time.monotonic() - started))
        scheduler = self._router._schedulers[decision.backend]
        self._acquisition: Acquisition = scheduler.acquire(
            self._wish.agent_id, self._task(decision.backend), timeout=timeout
        )
        try:
            lease = await self._acquisition.__aenter__()
        except BaseException:
            await self._give_up(decision)
            raise
        try:
            if lease.waited < _LONG_WAIT or await self._router._fleet.still_holds(decision):
                return lease
            raise _Moved
        except BaseException as error:
            try:
                await self._acquisition.__aexit__(type(error), error, error.__traceback__)
            finally:
                await self._give_up(decision)
            if isinstance(error, _Moved):
                return None
            raise

    def _task(self, name: str) -> Task:
        backend, wish = self._router.backends[name], self._wish
        # Rounded up: what costs anything reserves something.
        cost = math.ceil(backend.cost_of(*wish.tokens) * 1000 - 1e-9) / 1000
        return Task(
            weight=wish.weight,
            cost=cost if backend.is_priced else None,
            tokens=sum(wish.tokens) or None,
            model=backend.model,
        )

    async def _give_up(self, decision: Decision) -> None:
        await _confirmed(self._router._store.start(self._report(decision, "none"), "report"))

    async def _report(
        self,
        decision: Decision,
        outcome: Outcome,
        latency: float = 0,
        cost: float = 0,
        pause: float = 0,
    ) -> None:
        router = self._router
        try:
            change = await router._fleet.report(decision.id, outcome, latency, cost, pause)
        except (BackendError, ShutdownError) as error:
            _log.warning("router %r: an outcome could not be reported: %s", router.name, error)
            return
        finally:
            router._flying.discard(decision.id)
        if change == "opened":
            _log.warning("router %r: backend %r is broken", router.name, decision.backend)
        elif change == "closed":
            _log.info("router %r: backend %r works again", router.name, decision.backend)

    async def _hold(self, failure: Failure | None) -> None:
        """The provider asked to be left alone: its slots are granted to nobody meanwhile."""
        if failure is None or not failure.pause:
            return
        try:
            await self._route.lease.throttled(min(failure.pause, 86_400.0))
        except LocoRedisError as error:
            _log.warning("router %r: a backend could not be held: %s", self._router.name, error)


async def _confirmed(report: asyncio.Task[None]) -> None:
    """Whoever is cancelled while he waits, the report goes out."""
    await asyncio.wait([report], timeout=_PATIENCE)
