"""The session owns the background work of one scheduler: outbox, inbox, heartbeat, and their end.

When Redis has forgotten it, it opens itself anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from loco_redis import _log as decisions
from loco_redis._belongings import Belongings
from loco_redis._connect import Connector
from loco_redis._endpoint import Endpoint
from loco_redis._grants import Grants
from loco_redis._heartbeat import Heartbeat
from loco_redis._inbox import Inbox
from loco_redis._ledger import Ledger
from loco_redis._outbox import Outbox
from loco_redis._presence import Asked, Presence, register
from loco_redis._replies import HeartbeatReply, ReconfigureReply, Reply, Status, StoredConfig
from loco_redis._requests import Requests
from loco_redis._results import Results
from loco_redis._scripts import Command, Scripts, rid
from loco_redis._tasks import end
from loco_redis._waker import Waker
from loco_redis.config import Settings
from loco_redis.errors import (
    BackendError,
    BackendLibraryError,
    BackendUnavailableError,
    LocoRedisError,
    SessionExpiredError,
    ShutdownError,
)
from loco_redis.lease import BaseLease
from loco_redis.metrics.process import figures_here

R = TypeVar("R", bound=Reply)

_UNKNOWN = "{} may have been carried out: no reply came"
_REOPEN_PAUSE = 0.25
_REGISTER_TIMEOUT = 1.0  # then it goes on in the background
_CLOSE_TIMEOUT = 3.0  # for a Redis that does not answer: then the session expires by itself

_log = logging.getLogger("loco_redis")


class Session:
    """One scheduler's presence in Redis. `open` it, `aclose` it, in one event loop.

    Attributes:
        ledger: the books of the session id that is open, or about to be.
        config: what Redis has stored.
        unopenable: why no session can be opened until somebody helps: the scripts are gone, there
            are too many sessions, or another version of loco-redis has taken over.
        endpoint: where it is; of an embedded server, too.
    """

    config: StoredConfig
    endpoint: Endpoint

    def __init__(self, settings: Settings, endpoint: Endpoint) -> None:
        self.name, self.where = settings.name, endpoint.redacted
        self.backend_timeout, self.strict = settings.backend_timeout, settings.strict
        self.loop = asyncio.get_running_loop()
        self.scripts = Scripts(settings.name, endpoint.scripts)
        self.ledger = Ledger()
        self.figures = figures_here(settings.name)
        self.requests, self.grants, self.waker = Requests(self), Grants(self), Waker(self)
        self.belongings, self.results = Belongings(self), Results(self)
        self.unopenable: LocoRedisError | None = None
        self._settings, self._endpoint = settings, endpoint
        self._opened, self._idle = asyncio.Event(), asyncio.Event()
        self._work = contextlib.AsyncExitStack()  # what aclose() ends, in reverse
        self._reopening: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = "closed" if self._closing else "open" if self.is_open else "opening"
        ledger = self.ledger
        return (
            f"<Session {ledger.session} of {self.name!r} {state} "
            f"waiting={len(ledger.requests)} held={len(ledger.leases)}>"
        )

    @property
    def is_open(self) -> bool:
        """Whether Redis knows the session of `ledger`."""
        return self._opened.is_set() and not self.is_closing

    @property
    def is_closing(self) -> bool:
        return self._closing is not None

    async def open(self) -> None:
        """Connect, subscribe, open the session in Redis, start the heartbeat.

        Raises:
            BackendError: no server, one too old, or one that refuses.
            ConfigMismatchError: the resource is stored with other values, or not at all and no
                capacity was given.
        """
        try:
            await self._open()
        except BaseException as error:
            await self.aclose()
            if isinstance(error, OSError):  # no descriptors are left: redis-py needs some
                raise BackendUnavailableError(self.where, str(error)) from error
            raise

    async def _open(self) -> None:
        settings, push = self._settings, self._work.push_async_callback
        endpoint = self.endpoint = await self._attach()
        client = self._client = endpoint.async_client()
        push(endpoint.close_async, client)
        connector = Connector(client, self.scripts.keys.all[0])
        self.outbox = Outbox(connector, self.scripts, self.where, self.grants.reconnected)
        self.outbox.start()
        push(self.outbox.aclose, _CLOSE_TIMEOUT)
        inbox = Inbox(
            connector, self.grants.hint, self.waker.at, self.grants.poll, self.results.heard
        )
        push(inbox.aclose)
        self._presence = Presence(self.scripts, self.outbox, inbox, self.where)
        await self._presence.prepare(self.backend_timeout)
        await self.figures.read_clock(self.outbox, self.backend_timeout)
        push(self._leave)
        asked = Asked.of(settings)
        self.config = await self._presence.enter(self.ledger, asked, self.backend_timeout)
        self._heartbeat = Heartbeat(
            endpoint,
            self.scripts,
            self.config.lease,
            settings.max_stall,
            self._heard,
            self._library_gone,
        )
        self._heartbeat.start(self.ledger)
        push(self._heartbeat.aclose)
        await self._register_name()
        await self._heartbeat.begun()
        self._opened.set()
        if self.strict:
            watch = self.loop.create_task(self._watch_deadline(), name="loco_redis.deadline")
            push(end, watch)

    async def _register_name(self) -> None:
        """In a task of its own: redis-py may swallow a cancellation that reaches it, and a pool of
        the user's may have no connection to spare for a long time."""
        task = self.loop.create_task(register(self._client, self.name), name="loco_redis.register")
        self._work.push_async_callback(end, task)
        await asyncio.wait([task], timeout=_REGISTER_TIMEOUT)

    async def _attach(self) -> Endpoint:
        attached = self._endpoint.attached()
        if not self._endpoint.is_embedded:
            return self._work.enter_context(attached)
        # Starting a server blocks for some 30 ms; a cancelled caller must not leave it running.
        entering = asyncio.ensure_future(asyncio.to_thread(attached.__enter__))
        self._work.push(attached.__exit__)
        try:
            return await asyncio.shield(entering)
        except asyncio.CancelledError:
            await asyncio.wait([entering])
            raise

    # Expiring

    def expire(self, ledger: Ledger) -> None:
        """Redis does not know the session of `ledger` (any more): its leases are lost; who waits
        will wait in the session that is opened now."""
        if ledger is not self.ledger or self._closing or not self.is_open:
            return
        _log.warning("session %s of %r expired: opening another", ledger.session, self.name)
        self._opened.clear()
        self.ledger = Ledger(seen=ledger.seen)
        self.requests.park(ledger.expire("its session expired"))
        self.notice_idle()
        self._reopening = self.loop.create_task(self._reopen(), name="loco_redis.reopen")

    async def _reopen(self) -> None:
        born, told = self.config.born, ""
        while True:
            try:
                self.config = await self._presence.restore(
                    self.ledger, self.config, self.backend_timeout
                )
                break
            except LocoRedisError as error:
                if str(error) != told:  # once, however long it lasts
                    told = str(error)
                    _log.warning("opening a session of %r, trying again: %s", self.name, error)
                if isinstance(error, BackendLibraryError) or not isinstance(error, BackendError):
                    self.unopenable = error
                    self.requests.fail_parked(error)
                await asyncio.sleep(_REOPEN_PAUSE)
        self.unopenable = None
        self._heartbeat.follow(self.ledger, self.config.lease)
        if self.config.born != born:
            await self._register_name()
            await self.belongings.restore_rules()
        self._opened.set()
        self.requests.resume()
        self.results.look_again()
        await self.belongings.restore_agents()

    def _heard(self, ledger: Ledger, beat: HeartbeatReply) -> None:
        if ledger is not self.ledger:
            return
        self.grants.heard(ledger, beat)
        self.waker.at(beat.wake)
        if beat.status is Status.OK and beat.version != self.config.version:
            self._presence.refresh(ledger, self.backend_timeout, partial(self._refreshed, ledger))

    def _library_gone(self, ledger: Ledger, error: BackendError) -> None:
        """Nobody can be granted a slot before an administrator has loaded it: who waits is told."""
        if ledger is self.ledger and not self._closing:
            self.requests.fail_waiting(error)

    def _refreshed(self, ledger: Ledger, reply: ReconfigureReply) -> None:
        self.grants.take(ledger, reply.grants)
        if reply.status is Status.EXPIRED:
            self.expire(ledger)
        elif reply.config is not None and ledger is self.ledger:
            decisions.reconfigured(self.name, self.config, reply.config)
            self.config = reply.config

    async def _watch_deadline(self) -> None:
        """strict=True: bodies are cancelled as soon as their lease is uncertain."""
        while True:
            left = self.ledger.deadline - time.monotonic()
            if left <= 0 and self.is_open:
                for lease in [*self.ledger.leases.values()]:
                    lease._interrupt("no heartbeat got through for a whole lease")
            await asyncio.sleep(left if left > 0 else self._heartbeat.period)

    def on_lost(self, lease: BaseLease) -> None:
        _log.warning("lost: %r", lease)
        decisions.lost(lease)
        if self._settings.on_lost == "cancel":
            lease._interrupt(lease._reason)

    # Calls

    async def read(self, command: Command[R]) -> R:
        """Carry out a command that writes nothing."""
        return (await self.outbox.send(command, self.backend_timeout)).reply

    async def once(
        self, build: Callable[..., Command[R]], *, is_repeatable: bool = False, **arguments: Any
    ) -> tuple[R, str]:
        """Carry out a call with a request id of its own; returns the reply and that id.

        An expired session is opened anew and the call made again, unless a reply was lost: then
        nobody knows whether it ran, and SessionExpiredError says so; if that matters.
        """
        deadline = time.monotonic() + self.backend_timeout
        while True:
            await self.until_open()
            ledger = self.ledger
            sequence = ledger.mint()
            call = {"session": ledger.session, "floor": ledger.floor, "seen": ledger.seen}
            command = build(**call, sequence=sequence, **arguments)
            try:
                left = max(0.0, deadline - time.monotonic())
                reply, retried = await self.outbox.send(command, left)
            finally:
                ledger.answered(sequence)
            if reply.status is not Status.EXPIRED:
                self.grants.take(ledger, getattr(reply, "grants", ()))
                return reply, rid(ledger.session, sequence)
            self.expire(ledger)
            if retried and not is_repeatable:
                expired = SessionExpiredError(self.name, ledger.session)
                expired.add_note(_UNKNOWN.format(command.script))
                raise expired

    def unavailable(self, detail: str) -> BackendUnavailableError:
        return self.outbox.unavailable(detail)

    async def until_open(self) -> None:
        """Raises BackendUnavailableError after backend_timeout, `unopenable` at once, and
        ShutdownError as soon as it closes."""
        if self.is_open:
            return
        if self.unopenable is not None:
            raise self.unopenable
        if not self.is_closing:
            try:
                async with asyncio.timeout(self.backend_timeout):
                    await self._opened.wait()
            except TimeoutError:
                raise self.unavailable("no session could be opened") from None
        if self.is_closing:
            raise ShutdownError(self.name)

    # Holding and closing

    def hold(self, lease: BaseLease) -> None:
        ledger, sequence = lease._ledger, lease._grant.sequence
        ledger.leases[sequence] = lease
        ledger.entering.discard(sequence)
        if (reason := ledger.ended.pop(sequence, None)) is not None:
            del ledger.leases[sequence]
            lease._lose(reason)

    def unhold(self, ledger: Ledger, sequence: int) -> None:
        ledger.leases.pop(sequence, None)
        ledger.entering.discard(sequence)
        ledger.ended.pop(sequence, None)
        self.notice_idle()

    async def until_idle(self, timeout: float) -> int:
        """Wait until no lease is held, at most `timeout` seconds; returns how many still are."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not self.ledger.idle:
                    self._idle.clear()
                    await self._idle.wait()
        return len(self.ledger.leases) + len(self.ledger.entering)

    def notice_idle(self) -> None:
        """Leases may have ended."""
        if self.ledger.idle:
            self._idle.set()

    async def aclose(self) -> None:
        """End everything: waiters get ShutdownError, leases still held are lost. Idempotent; goes
        on to the end when its caller is cancelled."""
        if self._closing is None:
            # In the caller's turn, so that a body that closes its own scheduler is not cancelled.
            self.requests.shut_down()
            self.ledger.expire("the scheduler was closed")
            self._closing = self.loop.create_task(self._close(), name="loco_redis.close")
            self._opened.set()  # whoever waits for that is told
            self.results.look_again()
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self._opened.clear()
        self.waker.cancel()
        await end(self._reopening)
        await self._work.aclose()

    async def _leave(self) -> None:
        try:
            await self._presence.leave(self.ledger, _CLOSE_TIMEOUT)
        except BackendError as error:
            _log.warning("session %s is left to expire: %s", self.ledger.session, error)
