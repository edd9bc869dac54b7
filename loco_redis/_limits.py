"""The most there may be of what clients make; `lua/include/limits.lua` says the same."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Numbers of one resource; weights and costs in thousandths, lengths in bytes.

    Attributes:
        weight, depth: of one task, and of all that one agent has queued.
        ahead: calls of a session beyond the oldest whose reply it has not seen.
        id: of an agent, an agent's type, a label; text: of all labels of a task, or a rule;
            body: of a durable task, labels included, and of a result.
        orders: fields that orders of durable tasks and their results take.
        delay: of a retry, a result's time to live, in microseconds.
    """

    waiters: int = 1_000_000
    tasks: int = 1_000_000
    sessions: int = 100_000
    agents: int = 1_000_000
    rules: int = 100_000
    weight: int = 10**12
    depth: int = 8 * 10**15
    cost: int = 10**15
    ahead: int = 1_000_000
    id: int = 512
    text: int = 66_000
    body: int = 1_114_200
    orders: int = 4_000_000
    delay: int = 10 * 366 * 86_400 * 10**6

    @property
    def lua(self) -> str:
        """The file's text."""
        names = ", ".join(f"MOST_{name.upper()}" for name in self._fields)
        return f"local {names} = {', '.join(map(str, self))}"


LIMITS = Limits()
