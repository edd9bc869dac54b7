"""The heartbeat: a thread with a connection of its own, so that a busy event loop loses no lease.

It beats every quarter of the lease and tells the loop what Redis said. It stops renewing, and so
lets the leases expire, once the loop has not turned for `max_stall` seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, cast

import redis
from redis.exceptions import NoScriptError, RedisError

from loco_redis._connect import CONNECTION_ERRORS
from loco_redis._endpoint import Endpoint, SyncClient
from loco_redis._ledger import Ledger
from loco_redis._replies import HeartbeatReply, Status
from loco_redis._scripts import Scripts

BEATS_A_LEASE = 4
_QUICK, _SLOW = 0.1, 1.0  # seconds between attempts that fail: before the deadline, after it
_JOIN_TIMEOUT = 1.0

_log = logging.getLogger("loco_redis")


class Heartbeat:
    """Keeps the session of a ledger alive; `follow` another one to keep that.

    `on_reply(ledger, reply)` is called in the loop.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        scripts: Scripts,
        lease: float,
        max_stall: float,
        on_reply: Callable[[Ledger, HeartbeatReply], None],
    ) -> None:
        self._endpoint, self._scripts = endpoint, scripts
        self._lease, self._max_stall = lease, max_stall
        self._on_reply = on_reply
        self._client: SyncClient | None = None
        self._stop = threading.Event()
        self._ended = asyncio.Event()
        self._stalled = False
        self._failing = False

    @property
    def period(self) -> float:
        """Seconds between beats."""
        return self._lease / BEATS_A_LEASE

    def start(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._loop = asyncio.get_running_loop()
        self._last_turn = time.monotonic()
        name = f"loco_redis.heartbeat.{self._scripts.keys.name}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def follow(self, ledger: Ledger, lease: float) -> None:
        """Another session, whose lease may be another, too."""
        self.ledger, self._lease = ledger, lease

    async def aclose(self) -> None:
        """End the thread; a beat that hangs in its socket is cut off after a second."""
        self._stop.set()
        try:
            async with asyncio.timeout(_JOIN_TIMEOUT):
                await self._ended.wait()
        except TimeoutError:
            if isinstance(self._client, redis.Redis):
                self._client.connection_pool.disconnect()
            return
        self._thread.join()

    def _run(self) -> None:
        pause = self.period
        try:
            while not self._stop.wait(pause):
                if self._turns():
                    pause = self._beat(self.ledger)
        except RuntimeError:
            # The loop was closed without aclose(): nobody is left to keep a lease for.
            _log.debug("the heartbeat ends with its loop")
        finally:
            if self._client is not None:
                with contextlib.suppress(*CONNECTION_ERRORS):
                    self._client.close()
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._ended.set)

    def _turns(self) -> bool:
        """Whether the loop has turned lately; asks it to show that it does."""
        self._loop.call_soon_threadsafe(self._turned)
        silence = time.monotonic() - self._last_turn
        if silence <= self._max_stall:
            self._stalled = False
        elif not self._stalled:
            self._stalled = True
            _log.warning(
                "the event loop has been blocked for %.1f s, longer than max_stall: "
                "its leases are not renewed any more",
                silence,
            )
        return not self._stalled

    def _turned(self) -> None:
        self._last_turn = time.monotonic()

    def _beat(self, ledger: Ledger) -> float:
        """One beat; returns the seconds to pause."""
        sent = time.monotonic()
        try:
            reply = self._call(ledger)
        except (*CONNECTION_ERRORS, ValueError, TypeError) as error:
            if not self._failing:
                _log.warning("a heartbeat failed, trying again: %s", error)
            self._failing = True
            return _QUICK if time.monotonic() < ledger.deadline else _SLOW
        self._failing = False
        if reply.status is Status.OK:
            ledger.deadline = max(ledger.deadline, sent + reply.lease)
        self._loop.call_soon_threadsafe(self._on_reply, ledger, reply)
        return 0.0 if reply.more else self.period

    def _call(self, ledger: Ledger) -> HeartbeatReply:
        if self._client is None:
            self._client = self._connect()
        command = self._scripts.heartbeat(
            session=ledger.session, floor=ledger.floor, seen=ledger.seen
        )
        keys, client = self._scripts.keys.all, cast(Any, self._client)  # it is typed in parts only
        arguments = (len(keys), *keys, *command.args)
        try:
            raw = client.execute_command("EVALSHA", self._scripts.sha(command.script), *arguments)
        except NoScriptError:
            raw = client.execute_command("EVAL", self._scripts.source(command.script), *arguments)
        if not isinstance(raw, list):
            raise RedisError(f"a heartbeat was answered by {raw!r}")
        return command.decode(raw)

    def _connect(self) -> SyncClient:
        client = self._endpoint.sync_client()
        if isinstance(client, redis.Redis):
            # A reply that does not come must leave time for another attempt within the lease, and
            # so must a connection: one whose first packet is lost tries again only after a second.
            options = client.connection_pool.connection_kwargs
            limit = max(_QUICK, self.period)
            for name in ("socket_timeout", "socket_connect_timeout"):
                options[name] = min(options.get(name) or limit, limit)
        return client
