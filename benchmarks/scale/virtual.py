"""A fleet in virtual time: the reference model as the server, sessions that ask, hold and beat.

The server is one queue: a call waits until those before it are done, then takes what its kind was
measured to take. What it decides is what the model decides, at that moment of the virtual clock.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from benchmarks.scale.fleet import Cost, Costs, Fleet, Rates
from loco_redis._heartbeat import BEATS_A_LEASE
from loco_redis._replies import Grant, Status
from loco_redis.testing import ops
from loco_redis.testing.model import Outcome, step
from loco_redis.testing.model_state import State

Then = Callable[[Outcome, float], None]

_MICRO = 1e6
_AGENTS = 20


@dataclass(slots=True)
class Seen:
    """What happened in the part of the time that is counted."""

    counts: Counter[str] = field(default_factory=Counter)
    busy: float = 0.0
    read: float = 0.0
    written: float = 0.0
    waits: list[float] = field(default_factory=list)

    def rates(self, seconds: float) -> Rates:
        calls = ("heartbeat", "acquire", "release")
        return Rates(
            heartbeats=self.counts["heartbeat"] / seconds,
            grants=self.counts["grant"] / seconds,
            refused=self.counts["refused"] / seconds,
            hints=self.counts["hint"] / seconds,
            commands=sum(self.counts[name] for name in calls) / seconds,
            read=self.read / seconds,
            written=self.written / seconds,
            busy=self.busy / seconds,
        )


@dataclass(slots=True)
class Client:
    """A session: sequences that it waits for an answer to, and when it asked for each request."""

    name: str
    sequence: int = 0
    unanswered: set[int] = field(default_factory=set)
    asked: dict[int, float] = field(default_factory=dict)

    @property
    def floor(self) -> int:
        return min(self.unanswered, default=self.sequence + 1)


class Simulation:
    """`run` it once. Times are seconds of the virtual clock.

    Args:
        delay: of the way between a client and the server.
        seed: of all that is random: arrivals (Poisson), holds (exponential), agents, phases.
    """

    def __init__(self, fleet: Fleet, costs: Costs, *, delay: float, seed: int) -> None:
        self._fleet, self._costs, self._delay = fleet, costs, delay
        self._rng = random.Random(seed)
        self._state, self._seen = State(), Seen()
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        self._free_at, self._counting_from = 0.0, 0.0
        self._clients = {name: Client(name) for name in map(_name, range(fleet.sessions))}

    def run(self, seconds: float, warm_up: float) -> Seen:
        """What happens in `seconds` after the first `warm_up` of them."""
        self._counting_from = warm_up
        for client in self._clients.values():
            self._open(client)
            period = self._fleet.lease / BEATS_A_LEASE
            self._at(self._rng.uniform(0, period), self._beats(client, period))
        self._at(0.0, self._arrives)
        while self._events[0][0] < warm_up + seconds:
            now, _, event = heapq.heappop(self._events)
            event(now)
        return self._seen

    def _at(self, when: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), event))

    def _open(self, client: Client) -> None:
        fleet = self._fleet
        most = fleet.waiting if fleet.is_scarce else None
        lease = round(fleet.lease * _MICRO)
        opening = ops.Open(
            client.name, 0, capacity=fleet.slots, alpha=0.25, lease=lease, max_waiters=most
        )
        step(self._state, opening, 1)

    def _call(
        self, op: ops.Op, kind: str, now: float, then: Callable[[Outcome, float], None]
    ) -> None:
        """Send a call now; `then` gets its outcome when the answer is back."""

        def served(came: float) -> None:
            began = max(came, self._free_at)
            outcome = step(self._state, op, round(began * _MICRO) + 1)
            cost = self._cost(kind, outcome)
            self._free_at = began + cost.usec / _MICRO
            back = self._free_at + self._delay
            for session, hint in outcome.hints:
                if isinstance(hint, Grant):
                    self._count("hint", began)
                    self._at(back, self._granted(self._clients[session], hint))
            self._count(kind, began)
            if began >= self._counting_from:
                self._seen.busy += cost.usec / _MICRO
                self._seen.read += cost.read
                self._seen.written += cost.written
            self._at(back, lambda when: then(outcome, when))

        self._at(now + self._delay, served)

    def _cost(self, kind: str, outcome: Outcome) -> Cost:
        granted = bool(outcome.hints or getattr(outcome.reply, "grants", ()))
        if kind == "heartbeat":
            return self._costs.heartbeat
        if kind == "acquire":
            return self._costs.acquire_free if granted else self._costs.acquire_waits
        return self._costs.release_grants if granted else self._costs.release_free

    def _count(self, what: str, now: float) -> None:
        if now >= self._counting_from:
            self._seen.counts[what] += 1

    def _beats(self, client: Client, period: float) -> Callable[[float], None]:
        def beat(now: float) -> None:
            call = ops.Heartbeat(client.name, client.floor, 0)
            self._call(call, "heartbeat", now, lambda outcome, when: None)
            self._at(now + period, beat)

        return beat

    def _arrives(self, now: float) -> None:
        """Somewhere in the fleet somebody asks; the next one comes later."""
        client = self._clients[_name(self._rng.randrange(self._fleet.sessions))]
        client.sequence += 1
        sequence = client.sequence
        client.unanswered.add(sequence)
        client.asked[sequence] = now
        agent, weight = b"agent%d" % self._rng.randrange(_AGENTS), self._rng.randrange(1000, 9000)
        call = ops.Acquire(client.name, client.floor, 0, sequence, agent, weight)

        def answered(outcome: Outcome, when: float) -> None:
            client.unanswered.discard(sequence)
            if outcome.reply.status is Status.BACKPRESSURE:
                self._count("refused", when)
                del client.asked[sequence]
            self._take_own(client, outcome, when)

        self._call(call, "acquire", now, answered)
        self._at(
            now + self._rng.expovariate(self._fleet.sessions * self._fleet.asks), self._arrives
        )

    def _granted(self, client: Client, grant: Grant) -> Callable[[float], None]:
        def begin(now: float) -> None:
            self._count("grant", now)
            if now >= self._counting_from:
                self._seen.waits.append(now - client.asked[grant.sequence])
            del client.asked[grant.sequence]
            self._at(now + self._rng.expovariate(1 / self._fleet.hold), end)

        def end(now: float) -> None:
            call = ops.Release(client.name, client.floor, 0, grant.sequence, grant.token)
            self._call(call, "release", now, partial(self._take_own, client))

        return begin

    def _take_own(self, client: Client, outcome: Outcome, now: float) -> None:
        for grant in getattr(outcome.reply, "grants", ()):
            self._granted(client, grant)(now)


def _name(number: int) -> str:
    return f"{number:016d}"
