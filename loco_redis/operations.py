"""What an operator does by hand to a resource, for the whole fleet and at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from loco_redis import _hashes as hashes
from loco_redis import _validate as validate
from loco_redis._replies import Status
from loco_redis._rows import LeaseRow, request_row
from loco_redis._session import Session
from loco_redis.errors import (
    TaskAliveError,
    UnknownRequestError,
    UnknownTaskError,
)

_DRAIN_LOOK = 0.1  # seconds between looks at the holders

Use = Callable[[], Awaitable[Session]]


class Operations:
    """`scheduler.operations`: pause, drain, and take away what is stuck."""

    def __init__(self, use: Use, reconfigure: Callable[..., Awaitable[int]]) -> None:
        self._use, self._reconfigure = use, reconfigure

    async def pause(self) -> int:
        """Grant nothing until `resume`: holders go on, waiters keep their place and their age.
        Returns the configuration's new version."""
        return await self._reconfigure(paused=True)

    async def resume(self) -> int:
        """Grant again; free slots go out at once."""
        return await self._reconfigure(paused=False)

    async def drain(self, timeout: float) -> int:
        """Pause, and wait at most `timeout` seconds until nobody holds a slot.

        Returns:
            How many slots are still held. It stays paused.
        """
        limit = validate.seconds("timeout", timeout, 0, 1e9)
        await self.pause()
        session = await self._use()
        deadline = time.monotonic() + limit
        while True:
            found = (await session.read(session.scripts.snapshot(limit=0))).snapshot
            held = found.held if found is not None else 0
            if not held or time.monotonic() >= deadline:
                return held
            await asyncio.sleep(_DRAIN_LOOK)

    async def release(self, token: int) -> str:
        """Take a slot from its holder, named by the lease's fencing token, as if its process had
        died: the lease becomes `lost`, its durable task goes back, its cost is unsettled. The
        work itself is not stopped by Redis: whatever it writes to must check tokens.

        Returns:
            The id of the request that held the slot.

        Raises:
            UnknownRequestError: no lease has this token.
        """
        wanted = validate.count("token", token, 0, 10**16)
        session = await self._use()
        rows = await hashes.scan(session, session.scripts.keys.requests, b"*")
        for rid, row in rows.items():
            lease = request_row(row)
            if isinstance(lease, LeaseRow) and lease.token == wanted:
                await self._evict(rid.decode())
                return rid.decode()
        raise UnknownRequestError(f"token {wanted}")

    async def cancel(self, request_id: str) -> None:
        """End a request, whoever asked for it: one that waits gets EvictedError, one that holds a
        slot loses it as by `release`.

        Raises:
            UnknownRequestError: it has ended, or never was.
        """
        await self._evict(validate.label("request_id", request_id).decode())

    async def requeue(self, task_id: str) -> None:
        """Queue a dead durable task again, with its age and all its attempts.

        Raises:
            UnknownTaskError: there is no such task.
            TaskAliveError: it is queued, or runs.
        """
        session = await self._use()
        name = validate.label("task_id", task_id).decode()
        reply, _ = await session.once(session.scripts.requeue, task_id=name)
        if reply.status is Status.UNKNOWN_TASK:
            raise UnknownTaskError(task_id)
        if reply.status is Status.TASK_ALIVE:
            raise TaskAliveError(task_id)

    async def reap(self) -> int:
        """End expired sessions now rather than at the next call of anybody; returns how many
        requests and sessions went."""
        session = await self._use()
        total = 0
        while True:
            reply = await session.read(session.scripts.reap())
            total += reply.reaped
            if not reply.more:
                return total

    async def _evict(self, request_id: str) -> None:
        session = await self._use()
        reply, _ = await session.once(session.scripts.evict, target=request_id)
        if reply.status is Status.FINISHED:
            raise UnknownRequestError(request_id)
