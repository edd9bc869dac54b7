"""Concurrent callers are served one after another, in the order of the serial numbers."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import redis

from loco_redis._replies import Reply
from loco_redis.testing import invariants, ops
from loco_redis.testing.dump import differences
from loco_redis.testing.model import step
from loco_redis.testing.model_dump import dump
from loco_redis.testing.model_state import State, rid_of
from tests.lua.lockstep import Bench
from tests.servers import Server

NOW = 1_700_000_000_000_000
CALLERS = 6
CALLS = 200
AGENTS = (b"b", b"b\x01|\n", b"\xff\xfe", b"batch")


@dataclass
class Caller:
    """One session on a connection of its own, and the log of what it was told."""

    bench: Bench
    session: str
    rng: random.Random
    sequence: int = 0
    tokens: dict[int, int] = field(default_factory=dict)
    log: list[tuple[int, ops.Op, Reply]] = field(default_factory=list)

    def run(self) -> list[tuple[int, ops.Op, Reply]]:
        self.call(ops.Open(self.session, 0, "h|1", alpha=0.25))
        for _ in range(CALLS):
            self.call(self.anything())
        return self.log

    def call(self, op: ops.Op) -> None:
        reply = self.bench.run(op)
        self.log.append((reply.serial, op, reply))
        for grant in getattr(reply, "grants", ()):
            self.tokens[grant.sequence] = grant.token

    def mint(self) -> tuple[str, int, int, int]:
        self.sequence += 1
        return self.session, max(self.sequence - 5, 1), 0, self.sequence

    def anything(self) -> ops.Op:
        rng, agent = self.rng, self.rng.choice(AGENTS)
        weight = rng.choice((1000, 2500))
        kind = rng.random()
        if kind < 0.35:
            return ops.Acquire(*self.mint(), agent, rng.choice((None, weight)))
        if kind < 0.65 and self.tokens:
            return self.ending(*self.tokens.popitem())
        if kind < 0.75:
            return ops.Submit(*self.mint(), agent, weight, 2, rng.choice((b"", b"body")))
        if kind < 0.80:
            return ops.Cancel(self.session, 1, 0, max(self.sequence - rng.randint(-1, 6), 1))
        if kind < 0.84:
            return ops.Reconfigure(*self.mint(), capacity=rng.randint(0, 4))
        if kind < 0.87:
            return ops.CancelTask(*self.mint(), rid_of(f"s{rng.randrange(CALLERS)}", self.sequence))
        if kind < 0.89:
            return ops.Close(self.session, 0)
        if kind < 0.94:
            return ops.Open(f"{self.session}x{len(self.log)}", 0, "h|2")
        return rng.choice((self.log[-1][1], ops.Heartbeat(self.session, 1, NOW - 5), ops.Reap()))

    def ending(self, sequence: int, token: int) -> ops.Op:
        if self.rng.random() < 0.2:
            self.tokens[sequence] = token
            return ops.Settle(self.session, sequence, token, self.rng.randint(0, 3000))
        common = (self.session, 1, 0, sequence, token)
        return ops.Release(*common, charge=self.rng.random() < 0.8)


def test_serials_order_concurrent_callers(server: Server) -> None:
    """Replayed one by one in the order of their serials, all calls get the replies they got."""
    first = Bench(server.client)
    first.set_clock(NOW)
    opening = ops.Open("first", 0, "h|0", capacity=3, alpha=0.25)
    log: list[tuple[int, ops.Op, Any]] = [(1, opening, first.run(opening))]
    callers = [
        Caller(Bench(redis.Redis.from_url(server.url)), f"s{number}", random.Random(number))
        for number in range(CALLERS)
    ]
    with ThreadPoolExecutor(CALLERS) as pool:
        for future in [pool.submit(caller.run) for caller in callers]:
            log += future.result()
    for caller in callers:
        caller.bench.client.close()

    log.sort(key=lambda entry: entry[0])
    assert [serial for serial, _, _ in log] == list(range(1, len(log) + 1))
    state = State()
    for serial, op, reply in log:
        expected = step(state, op, NOW).reply
        assert reply == expected, f"{serial} {op}: {reply} != {expected}"
    after = first.dump()
    assert not (found := differences(after, dump(state))), "\n".join(found)
    invariants.check(after)
