"""A session as Redis knows it: entering it, restoring it, leaving it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from loco_redis._connect import CONNECTION_ERRORS
from loco_redis._endpoint import AsyncClient
from loco_redis._entry import Answer
from loco_redis._inbox import Inbox
from loco_redis._keys import REGISTRY
from loco_redis._ledger import Ledger
from loco_redis._library import OLDEST_SERVER
from loco_redis._outbox import Outbox
from loco_redis._replies import OpenReply, ReconfigureReply, Status, StoredConfig
from loco_redis._rights import WORKER, named, under
from loco_redis._scripts import SCHEMA, VERBS, Scripts
from loco_redis.config import Settings
from loco_redis.errors import (
    BackendError,
    BackendPermissionError,
    BackendUnavailableError,
    BackendVersionError,
    ConfigMismatchError,
    ResourceFullError,
)

_log = logging.getLogger("loco_redis")

_OLDEST_SERVER = (6, 2)
_MICRO = 1_000_000
_NO_VERSION = 10**15
_RATES = ("rpm", "rpm_burst", "tpm", "tpm_burst")


@dataclass(frozen=True, slots=True)
class Asked:
    """The configuration asked for, in the user's units; None adopts what is stored."""

    capacity: int | None = None
    alpha: float | None = None
    lease_ttl: float | None = None
    max_waiters: int | None = None
    rpm: int | None = None
    rpm_burst: int | None = None
    tpm: int | None = None
    tpm_burst: int | None = None
    adaptive: bool | None = None
    auto_tune: bool | None = None
    events: int | None = None
    paused: bool | None = None

    @classmethod
    def of(cls, settings: Settings) -> Asked:
        names = ("capacity", "alpha", "lease_ttl", "max_waiters", "events", *_RATES)
        asked = {name: getattr(settings, name) for name in names}
        return cls(**asked, adaptive=settings.adaptive_capacity, auto_tune=settings.auto_tune)

    @classmethod
    def again(cls, known: StoredConfig) -> Asked:
        rates = {name: getattr(known, name) for name in _RATES}
        return cls(
            known.capacity, known.alpha, known.lease, known.max_waiters, **rates,
            adaptive=bool(known.adaptive), auto_tune=bool(known.auto_tune), events=known.events,
            paused=bool(known.paused),
        )  # fmt: skip

    def in_script_units(self) -> dict[str, Any]:
        lease = None if self.lease_ttl is None else round(self.lease_ttl * _MICRO)
        return {
            "capacity": self.capacity,
            "alpha": self.alpha,
            "lease": lease,
            "max_waiters": self.max_waiters,
            **{name: getattr(self, name) for name in _RATES},
            "adaptive": None if self.adaptive is None else int(self.adaptive),
            "auto_tune": None if self.auto_tune is None else int(self.auto_tune),
            "events": self.events,
            "paused": None if self.paused is None else int(self.paused),
        }


class Presence:
    """Opens and closes sessions by the `outbox`, with the `inbox` subscribed to their hints."""

    def __init__(self, scripts: Scripts, outbox: Outbox, inbox: Inbox, where: str) -> None:
        self._scripts, self._outbox, self._inbox, self._where = scripts, outbox, inbox, where

    async def prepare(self, timeout: float) -> None:
        """Check the server's version, load what scripts it lacks, so that nobody's first call has
        to be sent twice, and see that this user may do all that they do. Nothing is written.

        Raises:
            BackendVersionError: the server is older than 6.2, or 7.0 where scripts are functions.
            BackendLibraryError: they are, and are not loaded.
            BackendPermissionError: names all rights that are missing.
        """
        if (info := await self._ask(timeout, "INFO", "server")) is not None:
            self._check_version(info)
        if self._scripts.way == "eval":
            await self._load(timeout)
        await self._see_rights(timeout)

    async def _load(self, timeout: float) -> None:
        hashes = [self._scripts.sha(verb) for verb in VERBS]
        known = await self._ask(timeout, "SCRIPT", "EXISTS", *hashes)
        for verb, is_known in zip(VERBS, known or (), strict=False):
            if not is_known:
                await self._ask(timeout, "SCRIPT", "LOAD", self._scripts.source(verb))

    async def _see_rights(self, timeout: float) -> None:
        """A script that is refused halfway would leave a broken state, so none is begun. The three
        ways to run one are tried, the rest is asked by the first of them: one round trip. Functions
        are called one way only, and refused as a whole."""
        trial, asked = "return 0", " ".join(under(self._scripts.way, WORKER))
        ways: dict[str, asyncio.Future[Answer[Any]]] = {
            "EVALSHA": self._outbox.send(self._scripts.rights(commands=asked), timeout)
        }
        if self._scripts.way == "eval":
            ways["EVAL"] = self._outbox.send_raw(timeout, "EVAL", trial, 0)
            ways["SCRIPT|LOAD"] = self._outbox.send_raw(timeout, "SCRIPT", "LOAD", trial)
        tried = await asyncio.gather(*ways.values(), return_exceptions=True)
        missing: list[str] = []
        cause: BackendPermissionError | None = None
        for way, found in zip(ways, tried, strict=True):
            if isinstance(found, BackendPermissionError):
                missing.append(found.command if way == "EVALSHA" else way)
                cause = cause or found
            elif isinstance(found, BaseException):
                raise found
        if not isinstance(tried[0], BaseException):
            missing += tried[0].reply
        if missing:
            detail = "a scheduler needs that, and has written nothing"
            raise BackendPermissionError(
                self._where, named(tuple(dict.fromkeys(missing))), detail
            ) from cause

    async def _ask(self, timeout: float, *args: str) -> Any:
        """The reply, or None when this user may not ask."""
        try:
            return (await self._outbox.send_raw(timeout, *args)).reply
        except BackendUnavailableError:
            raise
        except BackendError:
            return None

    def _check_version(self, info: bytes) -> None:
        # Valkey, too, says which Redis it is compatible with.
        found = re.search(rb"redis_version:((\d+)\.(\d+)\S*)", info)
        if not found:
            return
        version, told = (int(found[2]), int(found[3])), found[1].decode()
        if version < _OLDEST_SERVER:
            raise BackendVersionError(self._where, told)
        if self._scripts.way == "functions" and version < OLDEST_SERVER:
            raise BackendVersionError(self._where, told, "7.0", "for functions")

    async def enter(self, ledger: Ledger, asked: Asked, timeout: float) -> StoredConfig:
        """Subscribe for `ledger`'s session, then open it: no hint can be missed.

        Raises:
            ConfigMismatchError: stored is another value; or nothing (`stored` None), and no
                capacity was asked for.
        """
        channel = self._scripts.keys.channel + ledger.session.encode()
        await self._inbox.listen(channel, timeout)
        command = self._scripts.open(
            session=ledger.session,
            seen=ledger.seen,
            info=f"{socket.gethostname()}|{os.getpid()}",
            **asked.in_script_units(),
        )
        sent = time.monotonic()
        reply = (await self._outbox.send(command, timeout)).reply
        if reply.status is Status.REFUSED:
            raise ResourceFullError(reply.field, int(reply.stored))
        if reply.config is None:
            raise _mismatch(self._scripts.keys.name, reply, asked)
        ledger.deadline = sent + reply.config.lease
        return reply.config

    async def restore(self, ledger: Ledger, known: StoredConfig, timeout: float) -> StoredConfig:
        """Enter again: adopt what is stored or, when the server was emptied, store what we know."""
        while True:
            try:
                return await self.enter(ledger, Asked(), timeout)
            except ConfigMismatchError as error:
                if error.stored is not None:
                    raise
            # Another process may be quicker, and know other values: then those are adopted.
            with contextlib.suppress(ConfigMismatchError):
                return await self.enter(ledger, Asked.again(known), timeout)

    def refresh(
        self, ledger: Ledger, timeout: float, take: Callable[[ReconfigureReply], None]
    ) -> None:
        """Somebody has reconfigured: a change of a version that never is tells the values, and
        changes nothing. (`open` would tell them, too, but make an expired session anew, if it came
        late: its holders would never learn that they have lost.)"""
        sequence = ledger.mint()

        def done(value: ReconfigureReply | Exception, retried: bool) -> None:
            ledger.answered(sequence)
            if isinstance(value, ReconfigureReply):
                take(value)

        nothing = Asked().in_script_units()
        del nothing["lease"]
        command = self._scripts.reconfigure(
            session=ledger.session,
            floor=ledger.floor,
            seen=ledger.seen,
            sequence=sequence,
            if_version=_NO_VERSION,
            **nothing,
        )
        self._outbox.post(command, done, timeout)

    async def leave(self, ledger: Ledger, timeout: float) -> None:
        """Close the session: what it has waiting is withdrawn, what it holds reclaimed."""
        command = self._scripts.close(session=ledger.session, seen=ledger.seen)
        while (await self._outbox.send(command, timeout)).reply.more:
            pass


async def register(client: AsyncClient, name: str) -> None:
    """Enter a resource into the list of all, until it is purged. In a cluster the list has a node
    of its own, so this is not for the outbox."""
    try:
        await cast(Any, client).sadd(REGISTRY, name)
    except CONNECTION_ERRORS as error:
        # It works all the same, but `loco-redis resources` does not know it.
        _log.info("%r could not be entered into %s: %s", name, REGISTRY.decode(), error)


def _mismatch(name: str, reply: OpenReply, asked: Asked) -> ConfigMismatchError:
    """In the user's names and units."""
    if reply.status is Status.UNCONFIGURED:
        error = ConfigMismatchError("capacity", None, None)
        error.args = (f"nothing is stored for {name!r} yet: give SharedResource a capacity",)
        return error
    stored = reply.stored
    match reply.field:
        case "capacity":
            return ConfigMismatchError("capacity", int(stored), asked.capacity)
        case "alpha":
            return ConfigMismatchError("alpha", float(stored), asked.alpha)
        case "lease":
            return ConfigMismatchError("lease_ttl", int(stored) / _MICRO, asked.lease_ttl)
        case "max_waiters":
            limit = None if int(stored) < 0 else int(stored)
            return ConfigMismatchError("max_waiters", limit, asked.max_waiters)
        case "adaptive":
            return ConfigMismatchError("adaptive_capacity", stored == "1", asked.adaptive)
        case "auto_tune":
            return ConfigMismatchError("auto_tune", stored == "1", asked.auto_tune)
        case "events":
            return ConfigMismatchError("events", int(stored), asked.events)
        case field if field in _RATES:
            return ConfigMismatchError(field, int(stored), getattr(asked, field))
    return ConfigMismatchError.of_schema(name, stored, SCHEMA)
