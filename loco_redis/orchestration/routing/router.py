"""Router: spreads requests over backends, by one decision for the whole fleet each."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from types import MappingProxyType, TracebackType
from typing import Self, TypeVar

from loco_redis import _validate as validate
from loco_redis._endpoint import AsyncClient, resolve
from loco_redis._fork import ForkGuard
from loco_redis._tasks import end
from loco_redis.adapters._calls.failures import failure_of
from loco_redis.adapters.prices import Pricing
from loco_redis.errors import BackendError, NoBackendError, ShutdownError
from loco_redis.models import SharedResource
from loco_redis.orchestration.routing._clients import Clients
from loco_redis.orchestration.routing._fleet import Fleet
from loco_redis.orchestration.routing._passage import Passage, Wish
from loco_redis.orchestration.routing._store import Store
from loco_redis.orchestration.routing._trail import Trail
from loco_redis.orchestration.routing.route import Route
from loco_redis.orchestration.routing.settings import (
    STRATEGIES,
    Backend,
    Breaker,
    RouterBudget,
    Strategy,
    Tokens,
    check_backends,
    check_tokens,
)
from loco_redis.orchestration.routing.snapshots import RouterSnapshot
from loco_redis.scheduler import AsyncLOCOScheduler

T = TypeVar("T")

_RENEWALS = 3  # within the life of a reservation


class Router:
    """Decides which backend a request goes to; that backend's scheduler decides when.

    Use it by `async with`, or just call it and `aclose()` it. It belongs to the event loop that
    opened it and to the process. All processes give the same backends and settings.

    Args:
        name: what the fleet shares; backends' resources are `<name>-<backend>`.
        backends: where requests may go, 1 to 100.
        redis: as of AsyncLOCOScheduler.
        strategy: "round_robin", "weighted", "least_loaded", "lowest_latency", "sticky" or
            "cost_aware" (docs/routing.md).
        breaker: when a backend counts as broken.
        slo: seconds that "cost_aware" wants a request to take at most.
        budget: what "cost_aware" saves by; other strategies only count.
        optimize_for, lease_ttl, backend_timeout: of the schedulers, as of AsyncLOCOScheduler.
        flight_ttl: seconds after which the requests of a silent process no longer count.
        scripts: "functions" to call those that an administrator has loaded (docs/security.md).

    Raises:
        ValueError: bad arguments, in one line.
    """

    def __init__(
        self,
        name: str,
        backends: Iterable[Backend],
        redis: str | AsyncClient | None = None,
        *,
        strategy: Strategy = "least_loaded",
        breaker: Breaker | None = None,
        slo: float | None = None,
        budget: RouterBudget | None = None,
        optimize_for: str | None = None,
        lease_ttl: float | None = None,
        backend_timeout: float = 30.0,
        flight_ttl: float = 15.0,
        scripts: str | None = None,
    ) -> None:
        self.name, found = validate.resource_name(name), check_backends(backends)
        if strategy not in STRATEGIES:
            raise ValueError(
                f"strategy must be one of {', '.join(STRATEGIES)}, got {validate.shown(strategy)}"
            )
        if strategy == "cost_aware" and not any(backend.is_priced for backend in found):
            raise ValueError("cost_aware needs prices: give backends price_in, price_out or cost")
        if slo is not None:
            validate.seconds("slo", slo, 0.001, 86_400)
        validate.seconds("flight_ttl", flight_ttl, 0.1, 86_400)
        validate.seconds("backend_timeout", backend_timeout, 0, 86_400)
        self.strategy, self._ttl = strategy, flight_ttl
        self.backends = MappingProxyType({backend.name: backend for backend in found})
        endpoint = resolve(redis, scripts)
        self._schedulers = {
            backend.name: AsyncLOCOScheduler(
                resource=SharedResource(
                    f"{name}-{backend.name}", backend.capacity, backend.rpm, backend.tpm
                ),
                redis=endpoint.given or endpoint.url,
                optimize_for=optimize_for,
                lease_ttl=lease_ttl,
                backend_timeout=backend_timeout,
                scripts=endpoint.scripts,
            )
            for backend in found
        }
        self._store = Store(name, strategy, endpoint, backend_timeout)
        self._fleet = Fleet(self._store, found, breaker or Breaker(), budget, slo, flight_ttl)
        self._clients, self._pricing = Clients(), Pricing(False)
        self._guard, self._opening = ForkGuard(name), asyncio.Lock()
        self._flying: set[str] = set()  # reservations of this process
        self._renewing: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open" if self._renewing else "not open"
        return (
            f"<Router {self.name!r} {self.strategy} over {len(self.backends)} backends, {state}, "
            f"{len(self._flying)} in flight here>"
        )

    async def __aenter__(self) -> Self:
        await self._use()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def route(
        self,
        agent_id: str,
        key: str | None = None,
        *,
        weight: float | None = None,
        tokens: Tokens | None = None,
        timeout: float | None = None,
        exclude: Iterable[str] = (),
        request_id: str | None = None,
        attempt: int = 1,
    ) -> Passage:
        """`async with router.route("agent") as route:` decides on a backend, waits for a slot of
        it, holds it, and reports how the body ended.

        Args:
            key: what "sticky" keeps together; needed there.
            weight: of the task that waits.
            tokens: expected, for `tpm` and for the cost: all, or (input, output).
            timeout: seconds to wait for a slot; 0 takes a free one or fails.
            exclude: names of backends not to be used.
            request_id: None makes one.

        Raises:
            ValueError: at once, for bad arguments. When entered: NoBackendError, and what `acquire`
            raises. When left: LeaseLostError, if the lease was lost.
        """
        validate.agent_id(agent_id)
        if self.strategy == "sticky" and not key:
            raise ValueError("sticky needs a key: give what is to be kept together, e.g. a user")
        without = frozenset([exclude] if isinstance(exclude, str) else exclude)
        if unknown := without - self.backends.keys():
            raise ValueError(
                f"exclude names {validate.shown(sorted(map(str, unknown)))}, the backends of "
                f"{self.name!r} are {', '.join(self.backends)}"
            )
        wish = Wish(
            agent_id,
            validate.label("key", "" if key is None else key).decode(),
            validate.weight(1.0 if weight is None else weight) / validate.THOUSAND,
            check_tokens(tokens),
            timeout,
            without,
            _id(request_id),
            validate.count("attempt", attempt, 1, 10**6),
        )
        return Passage(self, wish, self._pricing.rounded)

    async def call(
        self,
        agent_id: str,
        fn: Callable[[Route], Awaitable[T]],
        *,
        key: str | None = None,
        weight: float | None = None,
        tokens: Tokens | None = None,
        timeout: float | None = None,
        attempt_timeout: float | None = None,
        exclude: Iterable[str] = (),
        request_id: str | None = None,
    ) -> T:
        """`await fn(route)`. If the backend fails, the same at the next one, with the same request
        id, until none is left; then the last error is raised, with a note of what was tried.

        Args:
            timeout: seconds to wait for slots, at all backends together.
            attempt_timeout: seconds for each `fn`; a backend that takes longer has failed.

        Raises:
            What `fn` raises, what `route` raises.
        """
        request_id, without = _id(request_id), {*exclude}
        trail = Trail(self.name, request_id)
        while True:
            route = None
            passage = self.route(
                agent_id,
                key,
                weight=weight,
                tokens=tokens,
                timeout=None if timeout is None else max(0.0, timeout - trail.waited),
                exclude=without,
                request_id=request_id,
                attempt=len(trail) + 1,
            )
            try:
                async with passage as route:
                    async with asyncio.timeout(attempt_timeout):
                        return await fn(route)
            except NoBackendError:
                if not trail:
                    raise
                trail.end(len(self.backends) - len(without))
            except Exception as error:
                if route is None or failure_of(error) is None:
                    raise
                trail.add(route, error)
                without.add(route.backend.name)
                if len(without) == len(self.backends):
                    trail.end(0)

    async def snapshot(self) -> RouterSnapshot:
        """Each backend as the whole fleet sees it."""
        await self._use()
        return await self._fleet.snapshot(self.name, self.strategy)

    async def aclose(self) -> None:
        """End at once: waiters get ShutdownError, slots still held are lost, HTTP clients are
        closed. Idempotent; does nothing in a forked child."""
        if self._closed or self._guard.forked:
            return
        self._closed = True
        async with self._opening:
            await end(self._renewing)
        await asyncio.gather(*(scheduler.aclose() for scheduler in self._schedulers.values()))
        await self._clients.aclose()
        await self._land()
        await self._store.aclose()

    async def _use(self) -> None:
        """Opens it if need be."""
        self._guard.check()
        if self._loop not in (None, asyncio.get_running_loop()):
            raise RuntimeError(
                f"router {self.name!r} was opened in another event loop: make one in each"
            )
        async with self._opening:
            if self._closed:
                raise ShutdownError(self.name)
            if self._renewing is None:
                await self._store.open()
                self._loop = asyncio.get_running_loop()
                self._renewing = asyncio.create_task(
                    self._renew(), name="loco_redis.router.renewing"
                )

    async def _land(self) -> None:
        """End the reservations of bodies that have not ended yet; these find nothing to end."""
        with suppress(BackendError):
            for id in [*self._flying]:
                await self._fleet.report(id, "none")

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._ttl / _RENEWALS)
            try:
                await self._fleet.renew([*self._flying])
            except BackendError:
                continue  # the next round tries again; the slots tell their holders themselves


def _id(request_id: str | None) -> str:
    if request_id is None:
        return secrets.token_hex(16)
    if not validate.label("request_id", request_id):
        raise ValueError("request_id must not be empty: leave it out to have one made")
    return request_id
