"""Sessions that own much and are about to end, and one that lives on."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from typing import Any, TypeVar

import redis

from benchmarks.scale.load import evalsha, opening
from loco_redis._scripts import VERBS, Command, Scripts
from loco_redis.snapshots import Snapshot

T = TypeVar("T")

_SURVIVOR = "z" * 16
_AGENTS = 100


class Doomed:
    """`sessions` sessions; each runs `holding` durable tasks and has `waiting` requests more. The
    survivor has a request waiting for each slot."""

    def __init__(
        self, client: redis.Redis, sessions: int, holding: int, waiting: int, lease: float
    ) -> None:
        self._client, self._scripts, self._lease = client, Scripts("doomed"), lease
        self._numbers = itertools.count(1)
        self._names = [f"{number:016d}" for number in range(sessions)]
        for verb in VERBS:
            client.script_load(self._scripts.source(verb))
        slots = sessions * holding
        self._call(opening(self._scripts, _SURVIVOR, slots, round(lease * 1e6)))
        self._batch(opening(self._scripts, name, None, None) for name in self._names)
        for _ in range(holding):
            self._batch(self._submit(name) for name in self._names)
            self._batch(self._acquire(name, None) for name in self._names)
        for _ in range(waiting):
            self._batch(self._acquire(name, 1000) for name in self._names)
        self._batch(self._acquire(_SURVIVOR, 1000) for _ in range(slots))

    def expire(self) -> None:
        """Only the survivor beats, until the leases of all others have ended by a little."""
        due = self.numbers().lease_clock + self._lease
        # Often: in a gap of half a lease the lease clock stands.
        while (left := due - self.numbers().lease_clock) > self._lease / 8:
            time.sleep(min(left - self._lease / 16, self._lease / 8))
            self._call(self._beat(_SURVIVOR))
        time.sleep(left + 0.02)

    def reap(self) -> list[float]:
        """The survivor's heartbeats until nothing is left to reap: milliseconds of each."""
        times: list[float] = []
        is_left = True
        while is_left:
            reply, took = self._timed(self._beat(_SURVIVOR))
            times.append(took)
            is_left = reply.more
        return times

    def close_first(self) -> list[float]:
        """The first session says goodbye: milliseconds of each call."""
        times: list[float] = []
        is_left = True
        while is_left:
            reply, took = self._timed(self._scripts.close(session=self._names[0], seen=0))
            times.append(took)
            is_left = reply.more
        return times

    def widen(self, slots: int) -> list[float]:
        """So many slots more at once, for which requests wait: milliseconds of the call."""
        number = next(self._numbers)
        command = self._scripts.reconfigure(
            session=_SURVIVOR, floor=number, seen=0, sequence=number, if_version=0,
            capacity=self.numbers().capacity + slots, alpha=None, max_waiters=None,
        )  # fmt: skip
        return [self._timed(command)[1]]

    def numbers(self) -> Snapshot:
        snapshot = self._call(self._scripts.snapshot(limit=0)).snapshot
        assert snapshot is not None
        return snapshot

    def _submit(self, session: str) -> Command[Any]:
        number = next(self._numbers)
        return self._scripts.submit(
            session=session, floor=number, seen=0, sequence=number, agent=self._agent(session),
            weight=1000, max_attempts=3, body=b"",
        )  # fmt: skip

    def _acquire(self, session: str, weight: int | None) -> Command[Any]:
        number = next(self._numbers)
        return self._scripts.acquire(
            session=session, floor=number, seen=0, sequence=number, agent=self._agent(session),
            weight=weight,
        )  # fmt: skip

    def _agent(self, session: str) -> bytes:
        number = next(self._numbers) if session == _SURVIVOR else int(session)
        return b"agent%06d" % (number % _AGENTS)

    def _beat(self, session: str) -> Command[Any]:
        return self._scripts.heartbeat(session=session, floor=0, seen=0)

    def _timed(self, command: Command[T]) -> tuple[T, float]:
        self._client.config_resetstat()
        reply = self._call(command)
        return reply, self._client.info("commandstats")["cmdstat_evalsha"]["usec"] / 1000

    def _call(self, command: Command[T]) -> T:
        return command.decode(self._client.evalsha(*evalsha(self._scripts, command)))

    def _batch(self, commands: Iterable[Command[Any]]) -> None:
        """Run them, and renew all leases after that."""
        commands = [*commands, *map(self._beat, self._names), self._beat(_SURVIVOR)]
        with self._client.pipeline(transaction=False) as batch:
            for command in commands:
                batch.evalsha(*evalsha(self._scripts, command))
            batch.execute()
