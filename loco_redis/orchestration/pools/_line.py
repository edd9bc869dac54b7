"""The line of one group, as one pool sees it: who waits here, who is told, what has ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from typing import Any

from loco_redis._connect import Connector
from loco_redis._endpoint import Endpoint
from loco_redis._inbox import Inbox
from loco_redis._keys import Keys
from loco_redis._scripts import Argument
from loco_redis._tasks import end
from loco_redis.errors import BackendError
from loco_redis.orchestration.pools._caller import Caller

#: A waiter that has not asked again for so many of its periods is taken for dead.
PERIODS_TO_LIVE = 3
_SCATTER_TIMEOUT = 5.0
_LISTEN_TIMEOUT = 2.0
_CLOSE_TIMEOUT = 3.0  # for calls that are under way
_FIGURES = 3  # fields of the line that are no waiters

_log = logging.getLogger("loco_redis")


def line_key(group: str) -> bytes:
    """The only place where the key of a line is spelled. Hints go to `<key>:<pool>`."""
    return f"loco:{{{group}}}:line".encode()


class Line:
    """One pool's end of a group's line.

    Args:
        names: of the group's resources, in the pool; more may come later.

    Attributes:
        waiting: the waiters of this pool by number; each event is set when it should ask again.
        closing: no waiter may ask any more.
    """

    def __init__(self, group: str, names: list[str], endpoint: Endpoint) -> None:
        self.group, self.key = group, line_key(group)
        self.waiting: dict[int, asyncio.Event] = {}
        self._names = names
        self._pool = secrets.token_hex(8)
        self._caller = Caller(endpoint)
        self._inbox: Inbox | None = None
        self._listening: asyncio.Task[None] | None = None
        self._asking: dict[int, asyncio.Task[Any]] = {}  # the last call of each waiter
        self._last = 0
        self._ended = 0  # leases, not told to the line yet
        self._leaving: list[str] = []
        self._scattering: asyncio.Task[None] | None = None
        self._left = asyncio.Event()  # by the last waiter
        self._ended_for_good = False
        self.closing = False

    def __repr__(self) -> str:
        return f"<Line of {self.group!r} waiting={len(self.waiting)}>"

    def join(self) -> tuple[int, str]:
        """A new waiter: its number, and its id in the line."""
        self._last += 1
        self.waiting[self._last] = asyncio.Event()
        return self._last, f"{self._pool}:{self._last}"

    def leave(self, number: int, stood: bool) -> None:
        """It waits no more; `stood`: it may have a row in Redis."""
        del self.waiting[number]
        asking = self._asking.pop(number, None)
        if asking is not None and not asking.done():  # that call may still give it a row
            asking.add_done_callback(lambda _: self._forget(number))
        elif stood:
            self._forget(number)
        if not self.waiting:
            self._left.set()

    def lease_ended(self) -> None:
        """Of all the leases of one `acquire_multiple`: who waits for them is told."""
        self._ended += 1
        self._scatter_soon()

    async def gather(
        self, number: int, keys: list[bytes], args: list[Argument], timeout: float
    ) -> tuple[int, list[Any], list[Any]]:
        """Outcome, calls, and the rest of the script's reply. Raises BackendError."""
        given = (self.key + b":", *args)
        call = self._caller.call("gather", (self.key, *keys), given, timeout)
        self._asking[number] = call
        outcome, calls, *rest = await asyncio.shield(call)
        return outcome, calls, rest

    def listen(self) -> None:
        """Be told from now on, if not yet. A failure to subscribe costs speed only."""
        if self._listening is None:
            connector = Connector(self._caller.client, self.key)
            self._inbox = Inbox(connector, lambda grant: None, self._wake, self._wake_all)
            channel = self.key + b":" + self._pool.encode()
            self._listening = asyncio.create_task(
                self._inbox.listen(channel, _LISTEN_TIMEOUT), name="loco_redis.line.listen"
            )

    def length(self, fields: int) -> int:
        """How many wait in all, of the hash's number of fields."""
        return max(0, fields - _FIGURES)

    def _wake(self, number: int) -> None:
        if (event := self.waiting.get(number)) is not None:
            event.set()

    def _wake_all(self) -> None:
        for event in self.waiting.values():
            event.set()

    def _forget(self, number: int) -> None:
        self._leaving.append(f"{self._pool}:{number}")
        self._scatter_soon()

    def _scatter_soon(self) -> None:
        if self._scattering is None and not self._ended_for_good:
            self._scattering = asyncio.create_task(self._scatter(), name="loco_redis.line.scatter")

    async def _scatter(self) -> None:
        try:
            while self._ended or self._leaving:
                ticks, self._ended = self._ended, 0
                leaving, self._leaving = " ".join(self._leaving), []
                pairs = [key for name in self._names for key in _slots_of(name)]
                args: tuple[Argument, ...] = (self.key + b":", ticks, leaving, *self._names)
                await self._caller.call("scatter", (self.key, *pairs), args, _SCATTER_TIMEOUT)
        except BackendError as error:
            # Waiters ask again by themselves, and rows of those that have left expire.
            _log.info("the line of %r was not told: %s", self.group, error)
        finally:
            self._scattering = None

    async def aclose(self) -> None:
        """Have this pool's waiters leave the line, and end; idempotent."""
        if self.closing:
            return
        self.closing = True
        self._wake_all()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                while self.waiting:
                    self._left.clear()
                    await self._left.wait()
        # What is under way may have waiters leave once more.
        await self._caller.settled(_CLOSE_TIMEOUT)
        await asyncio.sleep(0)
        self._ended_for_good = True
        if self._scattering is not None:
            await asyncio.wait([self._scattering])
        await end(self._listening)
        if self._inbox is not None:
            await self._inbox.aclose()
        await self._caller.aclose()


def _slots_of(name: str) -> tuple[bytes, bytes]:
    keys = Keys(name)
    return keys.vars, keys.holders
