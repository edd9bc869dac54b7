"""What a client sends while its request waits and runs: its body, and that it has gone."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

#: Bytes of a body that are kept until the app reads them. While there are more to come, nobody can
#: see that the client has gone.
READ_AHEAD = 256 * 1024


class ClientGone(OSError):
    """The client has disconnected: there is nobody to send to."""


class Inbox:
    """Reads what the server receives, so that a disconnect is known at once; `receive` gives all
    of it to the app. Only this reads, as a server has one reader.

    Attributes:
        gone: the client has disconnected, or its answer is complete.
        listened: the app waits for the next message, or knows that there is none.
    """

    def __init__(self, receive: Receive, read_ahead: int = READ_AHEAD) -> None:
        self._receive, self._room = receive, read_ahead
        self._messages: deque[Message] = deque()
        self._changed = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._on_gone: Callable[[], object] | None = None
        self._whole = False  # the body's end has come: what comes next is a disconnect
        self._failure: Exception | None = None
        self.gone = False
        self._told, self._listeners = False, 0

    @asynccontextmanager
    async def present(self) -> AsyncIterator[None]:
        """Cancels the body as soon as the client disconnects, which raises ClientGone here."""
        try:
            async with asyncio.timeout(None) as scope:
                self._read_on()
                self.call_when_gone(lambda: scope.reschedule(0))
                try:
                    yield
                finally:
                    self._on_gone = None
        except TimeoutError:
            if scope.expired():
                raise ClientGone("the client has disconnected") from None
            raise

    def call_when_gone(self, callback: Callable[[], object]) -> None:
        """Once; in place of an earlier one."""
        self._on_gone = callback
        if self.gone:
            callback()

    @property
    def listened(self) -> bool:
        return self._told or self._listeners > 0

    async def receive(self) -> Message:
        """For the app."""
        while not self._messages:
            if self.gone:
                self._told = True
                return {"type": "http.disconnect"}
            if self._failure is not None:
                raise self._failure
            self._changed.clear()
            self._read_on(wanted=True)
            self._listeners += 1
            try:
                await self._changed.wait()
            finally:
                self._listeners -= 1
        message = self._messages.popleft()
        self._room += len(message.get("body", b""))
        return message

    async def aclose(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    def _read_on(self, wanted: bool = False) -> None:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(wanted), name="loco_redis.inbox")

    async def _read(self, wanted: bool) -> None:
        """One message that is `wanted`; then as many as there is room for, or the disconnect."""
        try:
            while wanted or self._whole or self._room > 0:
                self._take(await self._receive())
                wanted = False
                if self.gone:
                    return
        except Exception as error:  # noqa: BLE001  the server's own, which the app is to get
            self._failure = error
        finally:
            self._changed.set()

    def _take(self, message: Message) -> None:
        if message["type"] == "http.disconnect":
            self.gone = True
            if self._on_gone is not None:
                self._on_gone()
        else:
            self._messages.append(message)
            self._room -= len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
        self._changed.set()
