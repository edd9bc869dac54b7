"""The job of the task queues, and the file in which each job notes that it has been done.

A file, because some queues run jobs in processes of their own. A note takes about 2 us.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
from pathlib import Path

#: Names the file.
VARIABLE = "LOCO_PEERS_MARKS"
_MARK = struct.Struct("dd")


def note(seconds: float) -> None:
    """One more job of so many seconds has been done, now."""
    file = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, _MARK.pack(seconds, time.monotonic()))
    finally:
        os.close(file)


def job(seconds: float) -> None:
    """Sleep, then note it."""
    if seconds:
        time.sleep(seconds)
    note(seconds)


async def async_job(seconds: float) -> None:
    """The same in an event loop."""
    if seconds:
        await asyncio.sleep(seconds)
    note(seconds)


def noted() -> list[tuple[float, float]]:
    """(seconds, moment) of each job done, in this order."""
    path = Path(os.environ[VARIABLE])
    return list(_MARK.iter_unpack(path.read_bytes())) if path.exists() else []


def count() -> int:
    """How many jobs have been done."""
    path = Path(os.environ[VARIABLE])
    return path.stat().st_size // _MARK.size if path.exists() else 0


def forget() -> None:
    """Begin anew."""
    Path(os.environ[VARIABLE]).unlink(missing_ok=True)
