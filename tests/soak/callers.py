"""The callers of a worker: each asks, works a few milliseconds, and asks again."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from loco_redis import (
    AcquireTimeoutError,
    AsyncLOCOScheduler,
    BackendError,
    Lease,
    LeaseLostError,
    LocoRedisError,
    PolicyViolationError,
    Task,
)
from tests.soak.witness import Witness

_AGENTS = tuple(f"agent-{number}" for number in range(6))
_TIMEOUTS = (None, None, None, 0.0, 0.05, 1.0, 5.0)


class Broke(Exception):
    """What a body raises that fails."""


@dataclass
class Purse:
    """What the callers of a process have in common."""

    scheduler: AsyncLOCOScheduler
    witness: Witness
    name: str
    outcomes: Counter[str]
    draining: bool = False
    finishing: bool = False
    numbers: Iterator[int] = field(default_factory=itertools.count)


class Caller:
    """`run` until the process drains or finishes. `waits_since` is when the wait began that has no
    limit, or 0."""

    lasting = False  # also while draining

    def __init__(self, purse: Purse, rng: random.Random) -> None:
        self._purse, self._rng = purse, rng
        self.waits_since = 0.0

    def __repr__(self) -> str:
        since = f" for {time.monotonic() - self.waits_since:.1f} s" if self.waits_since else ""
        return f"<{type(self).__name__} waiting{since} in {self._purse.scheduler!r}>"

    async def run(self) -> None:
        purse = self._purse
        while not purse.finishing and (self.lasting or not purse.draining):
            try:
                outcome = await self._once()
            except LocoRedisError as error:
                outcome = type(error).__name__
                if isinstance(error, BackendError | PolicyViolationError):
                    await asyncio.sleep(0.02)
            purse.outcomes[outcome] += 1

    async def _once(self) -> str:
        raise TypeError("a caller of no sort")

    async def _pass(self, agent: str, task: Task | None, timeout: float | None) -> str:
        """Through a slot, with a body; returns how it went."""
        purse, token = self._purse, 0
        how = "unconfirmed"
        self.waits_since = time.monotonic() if timeout is None else 0.0
        try:
            async with purse.scheduler.acquire(agent, task, timeout=timeout) as lease:
                self.waits_since, token = 0.0, lease.token
                await self._body(lease)
            how = "confirmed"
        except Broke:
            pass
        except LeaseLostError:
            how = "lost"
            raise
        finally:
            self.waits_since = 0.0
            if token:
                purse.witness.note("left", token, how)
        return how

    async def _body(self, lease: Lease) -> None:
        witness, rng = self._purse.witness, self._rng
        payload = lease.task.payload
        try:
            if not await witness.begin(lease.slot, lease.token, (payload or b"").decode()):
                self._purse.outcomes["fenced"] += 1
                return
            await asyncio.sleep(rng.uniform(0.002, 0.015))
            if rng.random() < 0.1:
                await lease.settle(rng.uniform(0, 8))
            if payload is None and rng.random() < 0.02:
                raise Broke
            if not await witness.write(lease.token):
                self._purse.outcomes["fenced"] += 1
        finally:
            witness.note("end", lease.token, time.monotonic())


class Plain(Caller):
    """Any agent, any weight; often with a limit to its patience."""

    async def _once(self) -> str:
        rng = self._rng
        task = Task(weight=rng.randint(1, 5), session_id="s", team="t")
        return await self._pass(rng.choice(_AGENTS), task, rng.choice(_TIMEOUTS))


class Governed(Caller):
    """An agent with a budget, and one with a cap of one slot."""

    async def _once(self) -> str:
        if self._rng.random() < 0.5:
            try:
                task = Task(cost=self._rng.randint(1, 9))
                return await self._pass("budgeted", task, 2.0)
            except PolicyViolationError:
                await asyncio.sleep(0.1)
                return "over budget"
        return await self._pass("capped", Task(), None)


class Submitter(Caller):
    """Durable tasks of two agents; some of them die after a few attempts."""

    async def _once(self) -> str:
        purse, rng = self._purse, self._rng
        name = f"{purse.name}-{next(purse.numbers)}"
        attempts = rng.choice((0, 0, 0, 2))
        task = Task(weight=rng.randint(1, 3), payload=name.encode(), max_attempts=attempts)
        purse.witness.note("submitting", name, time.monotonic())
        task_id = await purse.scheduler.submit_task(rng.choice(("durable-0", "durable-1")), task)
        purse.witness.note("submitted", name, task_id)
        await asyncio.sleep(rng.uniform(0.4, 1.6))
        return "submitted"


class Server(Caller):
    """Serves durable tasks, also while the worker drains."""

    lasting = True

    async def _once(self) -> str:
        agent = self._rng.choice(("durable-0", "durable-1"))
        try:
            how = await self._pass(agent, None, 1.0)
        except AcquireTimeoutError:
            return "nothing to serve"
        if self._purse.draining:
            await asyncio.sleep(0.02)
        return how


def callers(purse: Purse, count: int, rng: random.Random) -> Iterator[Caller]:
    """`count` of them: two thirds plain ones, the rest of all other sorts."""
    sorts: list[Callable[[Purse, random.Random], Caller]] = [Submitter, Server, Server, Governed]
    for number in range(count):
        sort = sorts[number // 3 % len(sorts)] if number % 3 == 0 else Plain
        yield sort(purse, random.Random(rng.random()))
