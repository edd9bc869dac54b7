"""A scheduler with one slot, held, and a crowd of agents that wait for it, driven script by script.

No client of ours is in the way: what is measured here is the scripts and nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import redis

from loco_redis._replies import AcquireReply, Grant
from loco_redis._scripts import VERBS, Command, Scripts
from loco_redis.governance._rules import packed
from loco_redis.snapshots import Snapshot

T = TypeVar("T")
Weights = Literal["equal", "random", "continuous"]

_SESSION = "s" * 16
_LEASE = 3600 * 10**6
_BATCH = 1000

# Moves the resource's clock as a release would, without a lease for every tick.
_TICK = """
local counters = redis.call('HGET', KEYS[1], 'counters')
local serial, tick, rest = string.match(counters, '^(%d+)|(%d+)(.*)$')
return redis.call('HSET', KEYS[1], 'counters', string.format('%s|%d%s', serial, tick + 1, rest))
"""

_THOUSANDTHS: dict[Weights, Callable[[random.Random], int]] = {
    "equal": lambda _: 1000,
    "random": lambda rng: rng.choice((1000, 2000, 3000, 5000)),
    "continuous": lambda rng: rng.randint(1000, 40_000),
}


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who comes how: the weights of the tasks, and all in one tick or each in a tick of its own."""

    weights: Weights
    burst: bool

    def __str__(self) -> str:
        return f"{self.weights}, {'one burst' if self.burst else 'spread'}"


class Turns(Protocol):
    """Something that serves one who waits, who then waits again."""

    def turn(self) -> object: ...


class Crowd:
    """`agents` agents wait, with one request each if nothing else is said.

    `turn` serves one, which then asks again: as many wait as before.
    """

    def __init__(
        self,
        client: redis.Redis,
        name: str,
        agents: int,
        arrival: Arrival,
        *,
        alpha: float = 0.25,
        requests: int | None = None,
    ) -> None:
        self._client, self._scripts = client, Scripts(name)
        self._rng, self._weight = random.Random(7), _THOUSANDTHS[arrival.weights]
        self._sequence = 0
        self._agents: dict[int, bytes] = {}
        for verb in VERBS:
            client.script_load(self._scripts.source(verb))
        self._call(
            self._scripts.open(
                session=_SESSION,
                seen=0,
                info="benchmark|1",
                capacity=1,
                alpha=alpha,
                lease=_LEASE,
                max_waiters=None,
            )
        )
        self._held: Grant = self._call(self._ask(b"first")).grants[0]
        self._fill(agents, requests or agents, arrival.burst)

    def turn(self) -> None:
        """One release, which grants the slot to the next, and one acquire, which waits."""
        done = self._held
        self._held = self._call(
            self._scripts.release(
                session=_SESSION,
                floor=self._sequence,
                seen=done.token,
                sequence=done.sequence,
                token=done.token,
                charge=True,
            )
        ).grants[0]
        self._agents.pop(done.sequence)
        self._call(self._ask(self._agents[self._held.sequence]))

    def set_alpha(self, alpha: float) -> None:
        self._call(
            self._scripts.reconfigure(
                session=_SESSION,
                floor=self._sequence,
                seen=0,
                sequence=self._next_sequence(),
                if_version=0,
                capacity=None,
                alpha=alpha,
                max_waiters=None,
            )
        )

    def cap_ahead(self, agents: int, *, by_tenant: bool) -> None:
        """So many agents come first, none of whom may be granted: each, or their tenant, is at
        its cap."""
        names = [b"capped/%06d" % number for number in range(agents)]
        rules = {b"tcapped": b"||0"} if by_tenant else {b"c" + name: b"0" for name in names}
        self._call(
            self._scripts.govern(
                session=_SESSION,
                floor=self._sequence,
                seen=0,
                sequence=self._next_sequence(),
                changes=packed(rules),
            )
        )
        with self._client.pipeline(transaction=False) as batch:
            for name in names:
                self._run(batch, self._ask(name))
            batch.execute()
        for _ in range(3):  # who waits from now on comes after them
            self.turn()

    def snapshot(self) -> Snapshot:
        """What the server has, at most 1,000 of each."""
        snapshot = self._call(self._scripts.snapshot(limit=1000)).snapshot
        assert snapshot is not None
        return snapshot

    def _next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def _ask(self, agent: bytes) -> Command[AcquireReply]:
        sequence = self._next_sequence()
        self._agents[sequence] = agent
        return self._scripts.acquire(
            session=_SESSION,
            floor=sequence,
            seen=0,
            sequence=sequence,
            agent=agent,
            weight=self._weight(self._rng),
        )

    def _run(self, client: redis.Redis, command: Command[T]) -> Any:
        """Run it at once, or put it into a pipeline."""
        keys, sha = self._scripts.keys.all, self._scripts.sha(command.script)
        return client.evalsha(sha, len(keys), *keys, *command.args)

    def _call(self, command: Command[T]) -> T:
        return command.decode(self._run(self._client, command))

    def _fill(self, agents: int, requests: int, burst: bool) -> None:
        tick, variables = self._client.script_load(_TICK), self._scripts.keys.all[0]
        for start in range(0, requests, _BATCH):
            with self._client.pipeline(transaction=False) as batch:
                for number in range(start, min(start + _BATCH, requests)):
                    self._run(batch, self._ask(b"agent%06d" % (number % agents)))
                    if not burst:
                        batch.evalsha(tick, 1, variables)
                batch.execute()
