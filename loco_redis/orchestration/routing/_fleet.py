"""What the fleet knows of a router's backends: one typed method for each script."""

from __future__ import annotations

import hashlib
import math
import random
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal, cast

from loco_redis._validate import THOUSAND
from loco_redis.orchestration.routing._store import Argument, Store
from loco_redis.orchestration.routing.settings import MILLION, Backend, Breaker, RouterBudget
from loco_redis.orchestration.routing.snapshots import (
    BackendSnapshot,
    BreakerState,
    RouterSnapshot,
)

Outcome = Literal["ok", "failed", "none"]
Change = Literal["opened", "closed", ""]
_STATES: tuple[BreakerState, ...] = ("closed", "open", "half_open")
_SNAPSHOT_FIELDS = 10
_MOST_RENEWED = 500  # by one script


@dataclass(frozen=True, slots=True)
class Decision:
    """A place that is reserved at a backend.

    Attributes:
        id: of the reservation.
        generation: of the backend's breaker: an outcome counts in the one it was sent in.
        probe: it is to find out whether the backend works again.
        low: the budget runs low.
    """

    id: str
    backend: str
    generation: int
    probe: bool
    low: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """None may be used; the next perhaps in `wait` seconds, None where that is not known."""

    wait: float | None


def micro(amount: float) -> int:
    """Seconds or money, in millionths."""
    return round(amount * MILLION)


def _draw(key: str, backend: Backend) -> str:
    """What a backend draws for a key: the same in every process. The highest of several wins, which
    gives each a share of the keys by its weight (weighted rendezvous hashing)."""
    if not key:
        return "0"
    text = f"{key}\0{backend.name}".encode()
    drawn = int.from_bytes(hashlib.blake2b(text, digest_size=6).digest())
    return format(-backend.weight / math.log((drawn + 1) / (2**48 + 1)), ".17g")


class Fleet:
    """The scripts of one router."""

    def __init__(
        self,
        store: Store,
        backends: Sequence[Backend],
        breaker: Breaker,
        budget: RouterBudget | None,
        slo: float | None,
        ttl: float,
    ) -> None:
        self._store, self._backends = store, backends
        self._breaker, self._budget = breaker, budget
        self._slo, self._ttl = micro(slo or 0), micro(ttl)
        self._period = micro(budget.period or 0) if budget is not None else 0
        self._process, self._sequence = secrets.token_hex(8), count(1)

    def new_id(self) -> str:
        """Of a reservation."""
        return f"{self._process}:{next(self._sequence)}"

    async def decide(
        self, id: str, key: str, tokens: tuple[int, int], exclude: Iterable[str]
    ) -> Decision | Refused:
        """Reserve a place for a request."""
        limit = micro(self._budget.limit) if self._budget is not None else 0
        keep = round(limit * self._budget.downgrade_at) if self._budget is not None else 0
        luck = [f"{random.randrange(10**9) / 1e9:.9f}" for _ in range(2)]  # never rounded to 1
        args: list[Argument] = [id, self._ttl, *luck, self._slo, limit, keep, self._period]
        args.append(self._breaker.probes)
        without = frozenset(exclude)
        for backend in self._backends:
            weight, cost = round(backend.weight * THOUSAND), micro(backend.cost_of(*tokens))
            args += [backend.name, backend.capacity, weight, cost, _draw(key, backend)]
            args.append(int(backend.name in without))
        reply = await self._store.run("route", *args)
        if reply[0] == 0:
            wait = int(reply[1])
            return Refused(None if wait < 0 else wait / MILLION)
        backend_name, generation, probe, low = (field.decode() for field in reply[1:])
        return Decision(id, backend_name, int(generation), probe == "1", low == "1")

    async def report(
        self, id: str, outcome: Outcome, latency: float = 0, cost: float = 0, pause: float = 0
    ) -> Change:
        """End a reservation, and say what became of the request; counted once."""
        breaker = self._breaker
        reply = await self._store.run(
            "report",
            id,
            outcome,
            micro(latency),
            micro(cost),
            micro(pause),
            breaker.errors,
            micro(breaker.window),
            micro(breaker.open_for),
            micro(breaker.longest),
            self._period,
        )
        return cast(Change, reply[1].decode()) if reply[0] == 1 else ""

    async def still_holds(self, decision: Decision) -> bool:
        """Whether the backend's breaker has not opened since."""
        row = await self._store.health(decision.backend)
        generation, until, _ = (row or b"0|0|0").split(b"|")
        return int(generation) == decision.generation or until == b"0"

    async def renew(self, ids: Sequence[str]) -> None:
        """Say that these requests are alive."""
        for start in range(0, len(ids), _MOST_RENEWED):
            await self._store.run("renew_routes", self._ttl, *ids[start : start + _MOST_RENEWED])

    async def snapshot(self, name: str, strategy: str) -> RouterSnapshot:
        names = [backend.name for backend in self._backends]
        reply = await self._store.run("look_at_routes", self._period, *names)
        spent, reserved, *fields = map(int, reply)
        return RouterSnapshot(
            name=name,
            strategy=strategy,
            spent=spent / MILLION,
            reserved=reserved / MILLION,
            limit=self._budget.limit if self._budget is not None else None,
            backends=tuple(
                _snapshot(backend, fields[at * _SNAPSHOT_FIELDS : (at + 1) * _SNAPSHOT_FIELDS])
                for at, backend in enumerate(self._backends)
            ),
        )


def _snapshot(backend: Backend, fields: Sequence[int]) -> BackendSnapshot:
    state, wait, hold, load, probes, latency, picked, ok, failed, cost = fields
    return BackendSnapshot(
        name=backend.name,
        model=backend.model,
        capacity=backend.capacity,
        state=_STATES[state],
        open_for=wait / MILLION,
        held_for=hold / MILLION,
        in_flight=load,
        probes=probes,
        latency=None if latency < 0 else latency / MILLION,
        picked=picked,
        succeeded=ok,
        failed=failed,
        cost=cost / MILLION,
    )
