"""Handlers for the workers that tests run."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from loco_redis import Lease
from tests.waiting import STARTED, eventually


async def quick(lease: Lease) -> int:
    """20 ms; gives the number of its attempt."""
    print("a handler may print")  # noqa: T201  and that is no word of the protocol
    await asyncio.sleep(0.02)
    return lease.task.attempt


def _begins(lease: Lease) -> Path:
    """Told in the folder that the payload names, which is returned: the test's `Gate`."""
    folder = Path(lease.task.payload.decode())
    (folder / f"begun-{lease.task.task_id}-{lease.task.attempt}").touch()
    return folder


async def held(lease: Lease) -> int:
    """Until the gate is opened; gives the number of its attempt."""
    await eventually((_begins(lease) / "open").exists, STARTED)
    return lease.task.attempt


def stuck(lease: Lease) -> None:
    """In a thread, which nobody can cancel."""
    _begins(lease)
    time.sleep(60)


async def endless(lease: Lease) -> None:
    await asyncio.sleep(60)


def forking(lease: Lease) -> None:
    """Leaves a process behind, as pools of processes do when their owner is killed."""
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    time.sleep(60)


handlers = {"quick*": quick, "held": held, "stuck": stuck, "endless": endless, "forking": forking}
nothing = 3


def made() -> dict[str, Any]:
    return handlers


async def made_in_the_loop() -> dict[str, Any]:
    return handlers
