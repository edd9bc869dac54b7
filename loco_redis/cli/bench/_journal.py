"""What a worker wrote down: a file of fixed records, which a SIGKILL cannot take back.

Each record is one `write`, so the kernel has it before the worker goes on. Times are nanoseconds of
the host's monotonic clock.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BEGAN, _ENDED, _MISSED = range(3)
_RECORD = struct.Struct("<BBHiqqq")  # what, kind, agent, slot, token, two times


@dataclass(slots=True)
class Body:
    """A body that ran under a lease; `end` is None while it runs, and after a kill."""

    kind: int
    agent: int
    slot: int
    token: int
    due: int
    start: int
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Missed:
    """A request that had no slot when the run ended."""

    kind: int
    agent: int
    due: int
    until: int


class Journal:
    """The writing end, of one worker."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def began(self, kind: int, agent: int, slot: int, token: int, due: int, start: int) -> None:
        os.write(self._file, _RECORD.pack(_BEGAN, kind, agent, slot, token, due, start))

    def ended(self, token: int, end: int) -> None:
        os.write(self._file, _RECORD.pack(_ENDED, 0, 0, 0, token, end, 0))

    def missed(self, kind: int, agent: int, due: int, until: int) -> None:
        os.write(self._file, _RECORD.pack(_MISSED, kind, agent, 0, 0, due, until))

    def close(self) -> None:
        os.close(self._file)


def read(path: Path) -> Iterator[Body | Missed]:
    """All that is written there, in the order of their beginnings."""
    data = path.read_bytes() if path.exists() else b""
    running: dict[int, Body] = {}
    found: list[Body | Missed] = []
    whole = len(data) - len(data) % _RECORD.size
    for what, kind, agent, slot, token, first, second in _RECORD.iter_unpack(data[:whole]):
        if what == _BEGAN:
            running[token] = Body(kind, agent, slot, token, first, second)
            found.append(running[token])
        elif what == _ENDED:
            running.pop(token).end = first
        else:
            found.append(Missed(kind, agent, first, second))
    return iter(found)
