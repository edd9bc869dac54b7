"""A forked child shares its parent's sockets: whatever was opened before the fork must not be used.

Two processes that read replies from one socket take each other's, without any error.
"""

from __future__ import annotations

import os

from loco_redis.errors import ForkedError


class ForkGuard:
    """Knows whether it was made in another process."""

    __slots__ = ("_generation", "_name")

    def __init__(self, name: str) -> None:
        self._name, self._generation = name, _generation

    @property
    def forked(self) -> bool:
        return self._generation != _generation

    def check(self) -> None:
        """Raises ForkedError in a child of the process that made this."""
        if self._generation != _generation:
            raise ForkedError(self._name)


def _count_fork() -> None:
    global _generation
    _generation += 1


_generation = 0
os.register_at_fork(after_in_child=_count_fork)
