"""The scripts choose what the plain formula chooses, among many agents."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from loco_redis.testing import invariants, ops
from loco_redis.testing.model_state import sequence_of
from tests.lua.lockstep import Lockstep
from tests.servers import Server

ALPHAS = (0.0, 1e-12, 0.25, 0.3, 0.5, 1.0)
WEIGHTS: dict[str, Callable[[random.Random], int]] = {
    "equal": lambda rng: 1000,
    "random": lambda rng: 1000 * rng.randint(1, 20),
    "continuous": lambda rng: int(1000 * rng.lognormvariate(1.0, 1.5)) + 1000,
}
SESSION = "s"


class History(Lockstep):
    """A random history of one session, compared reply by reply, and as a whole, which is
    large, only where it is asked for."""

    is_quick = True

    def __init__(self, server: Server, seed: str, alpha: float, agents: int) -> None:
        super().__init__(server.client)
        self.rng = random.Random(seed)
        self.agents = [b"agent%d\xff" % number for number in range(agents)]
        self.weight = WEIGHTS[seed.split()[0]]
        self.sequence = 0
        self.do(ops.Open(SESSION, 0, "h|1", capacity=0, alpha=alpha))

    def mint(self) -> tuple[str, int, int, int]:
        self.sequence += 1
        return SESSION, self.sequence, 0, self.sequence

    def acquire(self) -> None:
        weight = self.weight(self.rng)
        self.do(ops.Acquire(*self.mint(), self.rng.choice(self.agents), weight))

    def submit(self) -> None:
        agent = self.rng.choice(self.agents)
        self.do(ops.Submit(*self.mint(), agent, self.weight(self.rng)))
        if self.rng.random() < 0.5:
            self.do(ops.Acquire(*self.mint(), agent))

    def release(self) -> None:
        if holders := self.state.holders():
            request, lease = self.rng.choice(holders)
            sequence = sequence_of(request.rid)
            self.do(ops.Release(SESSION, self.sequence, 0, sequence, lease.token))

    def cancel(self) -> None:
        if waiting := self.state.waiting():
            sequence = sequence_of(self.rng.choice(waiting).rid)
            self.do(ops.Cancel(SESSION, self.sequence, 0, sequence))

    def wander(self, steps: int) -> None:
        kinds = (self.acquire, self.submit, self.release, self.cancel)
        for kind in self.rng.choices(kinds, weights=(8, 3, 12, 1), k=steps):
            kind()

    def drain(self) -> None:
        """Everybody is served, so the choice is made among fewer and fewer."""
        while self.state.holders():
            self.release()


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_choice_is_the_exact_argmax(server: Server, alpha: float, weights: str) -> None:
    """Each grant of a history with bursts, arrivals and withdrawals goes where the formula says."""
    for agents in (30, 120):
        server.client.flushall()
        history = History(server, f"{weights} {alpha} {agents}", alpha, agents)
        for _ in range(agents):
            history.acquire()
        history.do(ops.Reconfigure(*history.mint(), capacity=3))
        history.compare()
        for _ in range(3):
            history.wander(agents)
            history.compare()
        history.drain()
        history.compare()
        history.close()


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.5])
def test_choice_holds_on_every_server(any_server: Server, alpha: float, weights: str) -> None:
    """300 agents that arrive in one tick are served in the order of the formula."""
    history = History(any_server, f"{weights} {alpha}", alpha, 300)
    for _ in range(300):
        history.acquire()
    history.do(ops.Reconfigure(*history.mint(), capacity=2))
    history.wander(100)
    history.compare()
    invariants.check(history.before)
    history.close()
