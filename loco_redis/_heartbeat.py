"""The heartbeat: a thread with a connection of its own, so that a busy event loop loses no lease.

It beats every quarter of the lease and tells the loop what Redis said. A beat that failed is sent
again by another connection, without a pause if it has waited for its reply: a server that is busy
for up to half a lease (the longest for which the lease clock goes on) and a connection that falls
silent meanwhile cost no lease together. It stops renewing, and so lets the leases expire, once the
loop has not turned for `max_stall` seconds.
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
from redis.exceptions import NoScriptError, RedisError, ResponseError

from loco_redis._connect import CONNECTION_ERRORS
from loco_redis._endpoint import Endpoint, SyncClient
from loco_redis._ledger import Ledger
from loco_redis._replies import HeartbeatReply, Status
from loco_redis._rights import denied
from loco_redis._scripts import Command, Scripts
from loco_redis._wire import Diagnosis, diagnose, library_error
from loco_redis.errors import BackendError

BEATS_A_LEASE = 4
# Seconds from an attempt that fails to the next: before the deadline, after it.
_QUICK, _SLOW = 0.1, 1.0
_JOIN_TIMEOUT = 1.0

_log = logging.getLogger("loco_redis")


class Heartbeat:
    """Keeps the session of a ledger alive; `follow` another one to keep that.

    In the loop `on_reply(ledger, reply)` is called, and `on_missing(ledger, error)` after each beat
    to a server without the library of functions.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        scripts: Scripts,
        lease: float,
        max_stall: float,
        on_reply: Callable[[Ledger, HeartbeatReply], None],
        on_missing: Callable[[Ledger, BackendError], None] = lambda ledger, error: None,
    ) -> None:
        self._endpoint, self._scripts = endpoint, scripts
        self._lease, self._max_stall = lease, max_stall
        self._on_reply, self._on_missing = on_reply, on_missing
        self._client: SyncClient | None = None
        self._stop = threading.Event()
        self._begun, self._ended = asyncio.Event(), asyncio.Event()
        self._stalled = False
        self._failing = False

    @property
    def period(self) -> float:
        """Seconds between beats."""
        return self._lease / BEATS_A_LEASE

    @property
    def reply_timeout(self) -> float:
        """Seconds after which a beat is given up, and sent again."""
        return max(_QUICK, self.period)

    def start(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._loop = asyncio.get_running_loop()
        self._last_turn = time.monotonic()
        self._launch()

    def _launch(self) -> None:
        name = f"loco_redis.heartbeat.{self._scripts.keys.name}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def begun(self) -> None:
        """Return when the first beat has been tried, which is at once: a process that opens files
        until there are no descriptors left has its heartbeat's connection by then."""
        await self._begun.wait()

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
            self._disconnect()
            return
        self._thread.join()

    def _run(self) -> None:
        pause = 0.0
        try:
            while not self._stop.wait(pause):
                pause = self._beat(self.ledger) if self._turns() else self.period
                if not self._begun.is_set():
                    self._loop.call_soon_threadsafe(self._begun.set)
        except RuntimeError:
            # The loop was closed without aclose(): nobody is left to keep a lease for.
            _log.debug("the heartbeat ends with its loop")
        finally:
            if self._client is not None:
                with contextlib.suppress(*CONNECTION_ERRORS):
                    self._client.close()
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._begun.set)
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
        sent, command = time.monotonic(), self._command(ledger)
        return self._heard(ledger, sent, self._ask(command))

    def _command(self, ledger: Ledger) -> Command[HeartbeatReply]:
        return self._scripts.heartbeat(session=ledger.session, floor=ledger.floor, seen=ledger.seen)

    def _heard(self, ledger: Ledger, sent: float, answer: HeartbeatReply | Exception) -> float:
        """What the beat that was sent then has brought; returns the seconds to pause."""
        if isinstance(answer, Exception):
            where, missing = self._endpoint.redacted, None
            if isinstance(answer, ResponseError) and diagnose(answer) is Diagnosis.NO_LIBRARY:
                missing = library_error(where, answer)
            if not self._failing:
                why = missing or denied(where, "heartbeat", answer) or answer
                _log.warning("a heartbeat failed, trying again: %s", why)
            self._failing = True
            if missing is not None:
                self._loop.call_soon_threadsafe(self._on_missing, ledger, missing)
                return self.period
            # Not longer than a beat: the session may live still, and its clock runs again.
            now, calm = time.monotonic(), max(_QUICK, min(_SLOW, self.period))
            return max(0.0, sent + (_QUICK if now < ledger.deadline else calm) - now)
        self._failing = False
        if answer.status is Status.OK:
            ledger.deadline = max(ledger.deadline, sent + answer.lease)
        self._loop.call_soon_threadsafe(self._on_reply, ledger, answer)
        return 0.0 if answer.more else self.period

    def _ask(self, command: Command[HeartbeatReply]) -> HeartbeatReply | Exception:
        try:
            return self._call(command)
        except Exception as error:  # noqa: BLE001  of a garbled reply a parser raises any
            self._disconnect()
            return error

    def _disconnect(self) -> None:
        """What comes next goes by new connections; a call under way ends."""
        if isinstance(self._client, redis.RedisCluster):
            self._client.disconnect_connection_pools()
        elif isinstance(self._client, redis.Redis):
            self._client.connection_pool.disconnect()

    def _call(self, command: Command[HeartbeatReply]) -> HeartbeatReply:
        if self._client is None:
            # A reply that does not come must leave time for other attempts within the lease, and
            # so must a connection: one whose first packet is lost tries again only after a second.
            self._client = self._endpoint.sync_client(self.reply_timeout)
        keys, client = self._scripts.keys.all, cast(Any, self._client)  # it is typed in parts only
        arguments = (len(keys), *keys, *command.args)
        try:
            raw = client.execute_command(*self._scripts.call(command.script), *arguments)
        except NoScriptError:
            raw = client.execute_command("EVAL", self._scripts.source(command.script), *arguments)
        try:
            return command.decode(raw)
        except (ValueError, TypeError, LookupError) as error:
            client.close()  # what comes next may not be the answer to the next beat
            raise RedisError(f"a heartbeat was answered by {raw!r}") from error
