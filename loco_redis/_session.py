"""The session owns the background work of one scheduler: outbox, inbox, heartbeat, and their end.

When Redis has forgotten it, it opens itself anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from loco_redis import _log as decisions
from loco_redis._connect import Connector
from loco_redis._endpoint import Endpoint
from loco_redis._grants import Grants
from loco_redis._heartbeat import Heartbeat
from loco_redis._inbox import Inbox
from loco_redis._ledger import Ledger
from loco_redis._outbox import Outbox
from loco_redis._presence import Asked, Presence, register
from loco_redis._replies import HeartbeatReply, Reply, Status, StoredConfig
from loco_redis._requests import Requests
from loco_redis._scripts import Command, Scripts, rid
from loco_redis._tasks import end
from loco_redis._waker import Waker
from loco_redis.config import Settings
from loco_redis.errors import (
    BackendError,
    BackendUnavailableError,
    ConfigMismatchError,
    LocoRedisError,
    SessionExpiredError,
)
from loco_redis.governance._refusals import error_of
from loco_redis.governance._rules import cap, packed, stored_rules
from loco_redis.lease import BaseLease
from loco_redis.metrics.process import figures_here
from loco_redis.models import Agent

R = TypeVar("R", bound=Reply)

_UNKNOWN = "{} may have been carried out: no reply came"
_REOPEN_PAUSE = 0.25
_CLOSE_TIMEOUT = 3.0  # for a Redis that does not answer: then the session expires by itself

_log = logging.getLogger("loco_redis")


class Session:
    """One scheduler's presence in Redis. `open` it, `aclose` it, in one event loop.

    Attributes:
        ledger: the books of the session id that is open, or about to be.
        config: what Redis has stored.
        endpoint: where it is; of an embedded server, too.
    """

    config: StoredConfig
    endpoint: Endpoint

    def __init__(self, settings: Settings, endpoint: Endpoint) -> None:
        self.name, self.where = settings.name, endpoint.redacted
        self.backend_timeout, self.strict = settings.backend_timeout, settings.strict
        self.loop = asyncio.get_running_loop()
        self.scripts = Scripts(settings.name)
        self.ledger = Ledger()
        self.figures = figures_here(settings.name)
        self.requests, self.grants, self.waker = Requests(self), Grants(self), Waker(self)
        # Of ours: an emptied server gets them again.
        self.rules: list[Callable[[], dict[bytes, bytes]]] = []
        self._agents: dict[str, Agent] = {}  # registered by us: restored with the session
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
        return self._opened.is_set()

    async def open(self) -> None:
        """Connect, subscribe, open the session in Redis, start the heartbeat.

        Raises:
            BackendError: no server, one too old, or one that refuses.
            ConfigMismatchError: the resource is stored with other values, or not at all and no
                capacity was given.
        """
        try:
            await self._open()
        except BaseException:
            await self.aclose()
            raise

    async def _open(self) -> None:
        settings, push = self._settings, self._work.push_async_callback
        endpoint = self.endpoint = await self._attach()
        client = self._client = endpoint.async_client()
        push(endpoint.close_async, client)
        connector = Connector(client, self.scripts.keys.all[0])
        self.outbox = Outbox(connector, self.scripts, self.where, self.grants.poll)
        self.outbox.start()
        push(self.outbox.aclose, _CLOSE_TIMEOUT)
        inbox = Inbox(connector, self.grants.hint, self.waker.at, self.grants.poll)
        push(inbox.aclose)
        self._presence = Presence(self.scripts, self.outbox, inbox, self.where)
        await self._presence.prepare(self.backend_timeout)
        await self.figures.read_clock(self.outbox, self.backend_timeout)
        push(self._leave)
        asked = Asked.of(settings)
        self.config = await self._presence.enter(self.ledger, asked, self.backend_timeout)
        self._heartbeat = Heartbeat(
            endpoint, self.scripts, self.config.lease, settings.max_stall, self._heard
        )
        self._heartbeat.start(self.ledger)
        push(self._heartbeat.aclose)
        await self._register_name()
        self._opened.set()
        if self.strict:
            watch = self.loop.create_task(self._watch_deadline(), name="loco_redis.deadline")
            push(end, watch)

    async def _register_name(self) -> None:
        """In a task of its own: redis-py may swallow a cancellation that reaches it."""
        task = self.loop.create_task(register(self._client, self.name), name="loco_redis.register")
        self._work.push_async_callback(asyncio.wait, [task])
        await asyncio.shield(task)

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
        if ledger is not self.ledger or self._closing:
            return
        _log.warning("session %s of %r expired: opening another", ledger.session, self.name)
        self._opened.clear()
        self.ledger = Ledger(seen=ledger.seen)
        self.requests.park(ledger.expire("its session expired"))
        self.notice_idle()
        self._reopening = self.loop.create_task(self._reopen(), name="loco_redis.reopen")

    async def _reopen(self) -> None:
        born = self.config.born
        while True:
            try:
                self.config = await self._presence.restore(
                    self.ledger, self.config, self.backend_timeout
                )
                break
            except ConfigMismatchError as error:
                _log.warning("the session of %r cannot be opened again: %s", self.name, error)
                self.requests.fail_parked(error)
                return
            except BackendError as error:
                _log.warning("opening a session of %r, trying again: %s", self.name, error)
                await asyncio.sleep(_REOPEN_PAUSE)
        self._heartbeat.follow(self.ledger, self.config.lease)
        if self.config.born != born:
            await self._register_name()
            await self._restore_rules()
        self._opened.set()
        self.requests.resume()
        for agent in [*self._agents.values()]:
            with contextlib.suppress(LocoRedisError):
                await self._register(agent)

    async def _restore_rules(self) -> None:
        """The server was emptied: ours come back before anybody is let in; what others have set
        since then stays."""
        mine = {field: value for rules in self.rules for field, value in rules().items()}
        for agent in self._agents.values():
            if agent.max_concurrency is not None:
                mine |= cap(agent.agent_id.encode(), agent.max_concurrency)
        ledger = self.ledger
        try:
            known = await stored_rules(self, mine)
            lost = {field: value for field, value in mine.items() if known[field] is None and value}
            if lost:
                sequence = ledger.mint()
                command = self.scripts.govern(
                    session=ledger.session,
                    floor=ledger.floor,
                    seen=ledger.seen,
                    sequence=sequence,
                    changes=packed(lost),
                )
                try:
                    await self.outbox.send(command, self.backend_timeout)
                finally:
                    ledger.answered(sequence)
        except BackendError as error:
            _log.warning("rules of %r could not be restored: %s", self.name, error)

    def _heard(self, ledger: Ledger, beat: HeartbeatReply) -> None:
        if ledger is not self.ledger:
            return
        self.grants.heard(ledger, beat)
        self.waker.at(beat.wake)
        if beat.status is Status.OK and beat.version != self.config.version:
            self._presence.refresh(ledger, self.backend_timeout, self._reconfigured)

    def _reconfigured(self, config: StoredConfig) -> None:
        decisions.reconfigured(self.name, self.config, config)
        self.config = config

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

    async def once(self, build: Callable[..., Command[R]], **arguments: Any) -> tuple[R, str]:
        """Carry out a call with a request id of its own; returns the reply and that id.

        An expired session is opened anew and the call made again, unless a reply was lost: then
        nobody knows whether it ran, and SessionExpiredError says so.
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
            if retried:
                expired = SessionExpiredError(self.name, ledger.session)
                expired.add_note(_UNKNOWN.format(command.script))
                raise expired

    async def register(self, agent: Agent) -> None:
        await self._register(agent)
        self._agents[agent.agent_id] = agent
        if agent.max_concurrency is not None:
            changes = packed(cap(agent.agent_id.encode(), agent.max_concurrency))
            await self.once(self.scripts.govern, changes=changes)

    async def _register(self, agent: Agent) -> None:
        name = agent.agent_id.encode()
        reply, _ = await self.once(self.scripts.register, agent=name, agent_type=agent.agent_type)
        if reply.refusal is not None:
            raise error_of(reply.refusal, agent.agent_id)

    def forget(self, agent_id: str) -> None:
        self._agents.pop(agent_id, None)

    def unavailable(self, detail: str) -> BackendUnavailableError:
        return self.outbox.unavailable(detail)

    async def until_open(self) -> None:
        """Raises BackendUnavailableError after backend_timeout."""
        if self.is_open:
            return
        try:
            async with asyncio.timeout(self.backend_timeout):
                await self._opened.wait()
        except TimeoutError:
            raise self.unavailable("no session could be opened") from None

    # Holding and closing

    def hold(self, lease: BaseLease) -> None:
        ledger, sequence = lease._ledger, lease._grant.sequence
        ledger.leases[sequence] = lease
        ledger.entering.discard(sequence)

    def unhold(self, ledger: Ledger, sequence: int) -> None:
        ledger.leases.pop(sequence, None)
        ledger.entering.discard(sequence)
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
