"""The inbox: one subscription a session; hints become grants.

A hint is only the fast way. The subscription is supervised: whatever ends it, it is made again, and
then the session polls for what it may have missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
from collections.abc import Callable
from typing import Any

from redis.exceptions import NoPermissionError, RedisError, ResponseError

from loco_redis._connect import CONNECTION_ERRORS, Connector
from loco_redis._replies import Grant
from loco_redis._tasks import end

_SILENCE = 15.0  # seconds without a message after which the connection is tried with PING
_PONG_TIMEOUT = 5.0
_BACKOFF_FIRST, _BACKOFF_MOST = 0.02, 1.0
_BACKOFF_DENIED = 30.0  # a right that is missing may be granted one day

_log = logging.getLogger("loco_redis")


class Inbox:
    """Calls `on_hint` for each grant that comes in, `on_wake` with the microseconds after which to
    look for one, `on_result` with the id of a task of which there is news, and `on_doubt` whenever
    hints may have been missed or something was taken away. `listen` to a channel; `aclose` it."""

    def __init__(
        self,
        connector: Connector,
        on_hint: Callable[[Grant], None],
        on_wake: Callable[[int], None],
        on_doubt: Callable[[], None],
        on_result: Callable[[str], None] = lambda task: None,
    ) -> None:
        self._connector, self._on_hint, self._on_wake = connector, on_hint, on_wake
        self._on_result, self._on_doubt = on_result, on_doubt
        self._channel = b""
        self._subscribed = False
        self._denied = ""  # how this user was refused, where it may not subscribe
        self._settled = asyncio.Event()  # subscribed, or refused
        self._silent = False
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Inbox {'subscribed' if self._subscribed else 'disconnected'}>"

    async def listen(self, channel: bytes, timeout: float) -> None:
        """Subscribe to `channel` in place of the one before; return once that is confirmed. If it
        is refused, or not within `timeout` seconds, warn: grants are then found by the heartbeat.
        """
        await self.aclose()
        self._channel = channel
        self._task = asyncio.create_task(self._run(), name="loco_redis.inbox")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._settled.wait()
        if not self._subscribed:
            why = f" ({self._denied}; needed are +subscribe &loco:*)" if self._denied else ""
            _log.warning(
                "no subscription to %s: grants will be noticed late%s", channel.decode(), why
            )

    async def aclose(self) -> None:
        await end(self._task)
        self._settled.clear()

    async def _run(self) -> None:
        backoff = _BACKOFF_FIRST
        while not self._connector.forked:
            try:
                connection = await self._connector.open()
                probing = asyncio.create_task(self._probe(connection), name="loco_redis.probe")
                try:
                    await self._subscribe(connection)
                    backoff = _BACKOFF_FIRST
                    await self._receive(connection)
                finally:
                    self._subscribed = False
                    await end(probing)
                    await connection.disconnect(nowait=True)
            except Exception as error:  # noqa: BLE001  of a garbled message a parser raises any
                _log.info("the subscription ended, trying again: %r", error)
                if isinstance(error, NoPermissionError):
                    self._denied, backoff = str(error), _BACKOFF_DENIED
                if isinstance(error, ResponseError):
                    self._settled.set()
            await asyncio.sleep(backoff * random.uniform(0.5, 1.0))
            backoff = min(_BACKOFF_MOST, 2 * backoff)

    async def _subscribe(self, connection: Any) -> None:
        await connection.send_command("SUBSCRIBE", self._channel)
        reply = await _next(connection)
        if not isinstance(reply, list) or reply[:1] != [b"subscribe"]:
            raise RedisError(f"SUBSCRIBE was answered by {reply!r}")
        self._subscribed, self._denied = True, ""
        self._settled.set()
        self._on_doubt()

    async def _receive(self, connection: Any) -> None:
        while True:
            message = await _next(connection)
            self._silent = False
            # With RESP2 a PONG is a list, too.
            if isinstance(message, list) and message[0] == b"message":
                self._deliver(message[2])

    async def _probe(self, connection: Any) -> None:
        """Break a connection that brings nothing, not even a PONG: reading it then fails."""
        while True:
            self._silent = True
            await asyncio.sleep(_SILENCE)
            if self._silent:
                with contextlib.suppress(*CONNECTION_ERRORS):
                    await connection.send_command("PING")
                await asyncio.sleep(_PONG_TIMEOUT)
                if self._silent:
                    await connection.disconnect(nowait=True)
                    return

    def _deliver(self, text: bytes) -> None:
        try:
            if text.startswith(b"wake|"):
                self._on_wake(int(text[5:]))
                return
            if text == b"gone":
                self._on_doubt()
                return
            if text.startswith(b"done|"):
                self._on_result(text[5:].decode("ascii"))
                return
            grant = Grant.parse(text)
        except (ValueError, AttributeError, OverflowError):
            _log.warning("a hint of unknown form was ignored (%d bytes)", len(text))
        else:
            self._on_hint(grant)


async def _next(connection: Any) -> Any:
    """The next message, however long it takes."""
    return await connection.read_response(
        disable_decoding=True, timeout=math.inf, push_request=True
    )
