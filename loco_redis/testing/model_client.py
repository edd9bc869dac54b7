"""One session of the reference model: makes the calls of a client, and says what they brought."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from loco_redis import _validate as validate
from loco_redis._presence import Asked
from loco_redis._replies import Grant, Refusal
from loco_redis.config import Settings
from loco_redis.governance._refusals import error_of
from loco_redis.governance._rules import cap
from loco_redis.models import Task, given
from loco_redis.testing import model, ops
from loco_redis.testing.model_grant import scores
from loco_redis.testing.model_state import State

_SESSION = "synctest"
_EPOCH = 1_700_000_000_000_000  # the server's clock at time 0, in microseconds
_LEASE = 10**15  # microseconds, so that no pause between two calls counts as an outage


class ModelClient:
    """Every call returns the grants it made, in order. Times are microseconds from 0.

    Attributes:
        state: of the model.
        wake: when to `look` again because of a rate; None: a release will do.
    """

    def __init__(self, settings: Settings) -> None:
        self.state = State()
        self.wake: int | None = None
        self._name = settings.name
        self._sequence = 0
        self._open: set[int] = set()  # requests that wait or hold
        asked = Asked.of(settings).in_script_units() | {"lease": _LEASE}
        self._do(ops.Open(_SESSION, 0, **asked), 0)

    def cap(self, limits: dict[str, int]) -> None:
        """The most slots that each of these agents may hold at once."""
        rules = [cap(validate.agent_id(agent), most) for agent, most in limits.items()]
        changes = {field: value for rule in rules for field, value in rule.items()}
        if changes:
            self._do(ops.Govern(*self._mint(), changes=ops.packed(changes)), 0)

    def pause(self, paused: bool, now: int) -> list[Grant]:
        """While it is paused nothing is granted."""
        return self._do(ops.Reconfigure(*self._mint(), paused=int(paused)), now)

    def acquire(self, agent: str, task: Task, now: int) -> tuple[int, list[Grant]]:
        """Also the number of the request, which its grant will tell.

        Raises:
            LocoRedisError: it was refused.
        """
        call, weight = self._mint(), validate.weight(task.weight)
        name = validate.agent_id(agent)
        grants = self._do(ops.Acquire(*call, name, weight, given=given(task)), now)
        self._open.add(self._sequence)
        return self._sequence, grants

    def release(self, number: int, token: int, now: int) -> list[Grant]:
        call = (_SESSION, self._floor(), 0, number)
        grants = self._do(ops.Release(*call, token=token), now)
        self._open.remove(number)
        return grants

    def look(self, now: int) -> list[Grant]:
        """Grant what can be granted by now."""
        return self._do(ops.Reap(), now)

    def scores(self) -> dict[str, float]:
        """L(i) of each agent with tasks queued."""
        found = scores(self.state, self.state.loads())
        return {agent.decode(): score for agent, score in found.items()}

    def waiting(self) -> dict[str, tuple[int, ...]]:
        """For each agent that waits, the ticks that each of its requests has waited."""
        found: dict[str, tuple[int, ...]] = {}
        for request in sorted(self.state.waiting(), key=lambda request: request.seq):
            agent, waited = request.agent.decode(), self.state.tick - request.tick
            found[agent] = (*found.get(agent, ()), waited)
        return found

    def _mint(self) -> tuple[str, int, int, int]:
        """What a call begins with: session, floor, seen, and a number of its own."""
        self._sequence += 1
        return _SESSION, self._floor(), 0, self._sequence

    def _floor(self) -> int:
        """All calls below it are done with."""
        return min(self._open, default=self._sequence)

    def _do(self, op: ops.Op, now: int) -> list[Grant]:
        reply, hints = self._decide(op, _EPOCH + now)
        if isinstance(refusal := getattr(reply, "refusal", None), Refusal):
            raise error_of(refusal, op.agent.decode() if isinstance(op, ops.Acquire) else "")
        wake = self.state.wake  # on the lease clock
        self.wake = now + max(wake - self.state.vnow, 1) if wake else None
        return [*getattr(reply, "grants", ()), *(told for _, told in hints if _is_grant(told))]

    def _decide(self, op: ops.Op, now: int) -> tuple[Any, Iterable[tuple[str, Any]]]:
        """The reply and the hints. This project's tests run the same operation on a server, too."""
        return model.step(self.state, op, now, self._name)


def _is_grant(told: object) -> bool:
    return isinstance(told, Grant)
