"""Hints that a step has ended: a reason to look, never the truth."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from loco_redis._connect import CONNECTION_ERRORS, Connector
from loco_redis._endpoint import AsyncClient
from loco_redis._tasks import end

_BACKOFF_FIRST, _BACKOFF_MOST = 0.05, 5.0


@asynccontextmanager
async def listening(
    client: AsyncClient, channel: bytes, on_hint: Callable[[], None]
) -> AsyncIterator[None]:
    """Call `on_hint` for each message, and whenever some may have been missed. Who may not
    subscribe gets none."""
    task = asyncio.create_task(_listen(client, channel, on_hint), name="loco_redis.plan_hints")
    try:
        yield
    finally:
        await end(task)


async def _listen(client: AsyncClient, channel: bytes, on_hint: Callable[[], None]) -> None:
    connector, backoff = Connector(client, channel), _BACKOFF_FIRST
    while not connector.forked:
        with contextlib.suppress(*CONNECTION_ERRORS):
            connection = await connector.open()
            try:
                await connection.send_command("SUBSCRIBE", channel)
                while True:
                    await _next(connection)
                    backoff = _BACKOFF_FIRST
                    on_hint()
            finally:
                await connection.disconnect(nowait=True)
        connector.suspect()
        await asyncio.sleep(backoff * random.uniform(0.5, 1.0))
        backoff = min(_BACKOFF_MOST, 2 * backoff)


async def _next(connection: Any) -> None:
    """The next message, however long it takes."""
    await connection.read_response(disable_decoding=True, timeout=math.inf, push_request=True)
