"""Routers for tests: with short leases, closed afterwards, and checked to leave nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

from loco_redis._scripts import Scripts
from loco_redis.orchestration.routing import Backend, BackendFailure, Route, Router
from loco_redis.orchestration.routing._fleet import Decision, Outcome, Refused
from loco_redis.testing import dump, invariants
from tests.schedulers import background_work
from tests.servers import Server
from tests.waiting import eventually

NAME = "models"


class Holder:
    """A request whose body goes on until it is told."""

    def __init__(self, router: Router, key: str | None, exclude: Iterable[str]) -> None:
        self._end = asyncio.Event()
        self._error: Exception | None = None
        self.route: Route | None = None
        self.task = asyncio.create_task(self._hold(router, key, exclude))

    def fails(self, error: Exception) -> None:
        """How its body will end."""
        self._error = error

    async def ended(self) -> None:
        self._end.set()
        with suppress(BackendFailure):
            await self.task

    async def _hold(self, router: Router, key: str | None, exclude: Iterable[str]) -> None:
        async with router.route("holder", key, exclude=exclude) as self.route:
            await self._end.wait()
            if self._error is not None:
                raise self._error


class Routers:
    """Makes routers of one name on one server.

    Attributes:
        at_rest: whether nothing may be left in flight after the test.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.at_rest = True
        self._made: list[Router] = []

    def __call__(self, backends: Iterable[Backend | str], **options: Any) -> Router:
        """A router, not opened yet. A name stands for a backend with 10 slots."""
        found = [each if isinstance(each, Backend) else Backend(each, 10) for each in backends]
        options = {"lease_ttl": 2.0, "backend_timeout": 5.0, **options}
        router = Router(NAME, found, **{"redis": self.server.url, **options})
        self._made.append(router)
        return router

    @asynccontextmanager
    async def holding(
        self, router: Router, key: str | None = None, exclude: Iterable[str] = ()
    ) -> AsyncIterator[Holder]:
        """A request of another task, which holds its slot inside."""
        holder = Holder(router, key, exclude)
        await eventually(lambda: holder.route is not None or holder.task.done())
        yield holder
        await holder.ended()

    def key(self, suffix: str) -> str:
        return f"loco:{{router:{NAME}}}:{suffix}"

    def field(self, field: str) -> str:
        """Of the router's state."""
        found = self.server.client.hget(self.key("state"), field)
        return found.decode() if found is not None else ""

    def set(self, field: str, value: object) -> None:
        self.server.client.hset(self.key("state"), field, str(value))

    def half_open(self, backend: str) -> None:
        """As if the time for which its breaker is open had passed."""
        generation, _, open_for = self.field(f"{backend}/health").split("|")
        self.set(f"{backend}/health", f"{generation}|{self.now() - 1}|{open_for}")

    def now(self) -> int:
        """The server's clock, in us."""
        seconds, micros = self.server.client.time()
        return seconds * 1_000_000 + micros

    @property
    def flights(self) -> int:
        return int(self.server.client.hlen(self.key("flights")))

    @property
    def held(self) -> int:
        """Slots of all backends together."""
        return sum(len(self._dump(name).holders) for name in self._resources())

    @property
    def waiting(self) -> int:
        return sum(int(self._dump(name).vars.get(b"waiting", 0)) for name in self._resources())

    async def aclose(self) -> None:
        await asyncio.gather(*(router.aclose() for router in self._made))
        for name in self._resources():
            invariants.check(self._dump(name))
            if self.at_rest:
                invariants.check_at_rest(self._dump(name))
        if self.at_rest:
            assert self.flights == 0
            assert self.server.client.exists(self.key("expiry")) == 0
            state = self.server.client.hgetall(self.key("state"))
            left = {field for field, value in state.items() if value != b"0"}
            assert not [f for f in left if f.endswith((b"/load", b"/probes", b"reserved"))]
        assert background_work() == []

    def _resources(self) -> set[str]:
        return {
            f"{NAME}-{backend}"
            for router in self._made
            for backend in router.backends
            if self.server.client.exists(f"loco:{{{NAME}-{backend}}}:vars")
        }

    def _dump(self, name: str) -> dump.Dump:
        scripts = Scripts(name)
        command, keys = scripts.dump(), scripts.keys.all
        raw = self.server.client.eval(scripts.source("dump"), len(keys), *keys, *command.args)
        return dump.parse(command.decode(raw))


async def decide(
    router: Router, key: str = "", tokens: tuple[int, int] = (0, 0), exclude: Iterable[str] = ()
) -> Decision:
    """A decision without a slot: for tests of the script alone. To be ended by `report`."""
    await router._use()
    decision = await router._fleet.decide(router._fleet.new_id(), key, tokens, exclude)
    assert isinstance(decision, Decision), decision
    return decision


async def refused(router: Router, exclude: Iterable[str] = ()) -> Refused:
    """The same where none may be used."""
    await router._use()
    decision = await router._fleet.decide(router._fleet.new_id(), "", (0, 0), exclude)
    assert isinstance(decision, Refused), decision
    return decision


async def report(
    router: Router, decision: Decision, outcome: Outcome = "none", **facts: float
) -> str:
    return await router._fleet.report(decision.id, outcome, **facts)


async def picks(router: Router, count: int, **asked: Any) -> list[str]:
    """So many decisions, each ended at once."""
    found = []
    for _ in range(count):
        decision = await decide(router, **asked)
        await report(router, decision)
        found.append(decision.backend)
    return found


async def fail(router: Router, backend: str, times: int = 1) -> str:
    """Requests to `backend` that fail; what the last one changed."""
    others = [name for name in router.backends if name != backend]
    change = ""
    for _ in range(times):
        change = await report(router, await decide(router, exclude=others), "failed")
    return change
