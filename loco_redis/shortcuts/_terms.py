"""What a call under the one-line API asks for."""

from __future__ import annotations

from dataclasses import dataclass

from loco_redis._holding import Wish
from loco_redis.context import DEFAULT_AGENT, Caller, current


@dataclass(frozen=True, slots=True)
class Terms:
    """The agent (None: that of the context, else "default"), the weight, and the seconds that it
    waits for a slot.

    Raises:
        ValueError: any of them out of range.
    """

    agent_id: str | None = None
    weight: float = 1.0
    timeout: float | None = None

    def __post_init__(self) -> None:
        agent_id = DEFAULT_AGENT if self.agent_id is None else self.agent_id
        Wish.of(agent_id, None, self.weight, self.timeout, "share")

    @classmethod
    def of(cls, agent_id: str | None, weight: float | None, timeout: float | None) -> Terms:
        """Of what a user gives: no weight means 1."""
        return cls(agent_id, 1.0 if weight is None else weight, timeout)

    def caller(self) -> Caller:
        """Who calls, here and now."""
        outer = current()
        if self.agent_id is not None:
            return Caller(self.agent_id).within(outer)
        return outer if outer is not None else Caller(DEFAULT_AGENT)
