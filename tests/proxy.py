"""A proxy of a server that loses, spoils and repeats, trickles, stalls, or falls silent."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Literal, NamedTuple, Protocol
from urllib.parse import urlsplit

from tests.link import Link

Then = Literal["reset", "close", "go on"]


class HasUrl(Protocol):
    """A server, at a unix socket or by TCP."""

    @property
    def url(self) -> str: ...


class Spoil(NamedTuple):
    """What becomes of the reply to a command that contains `text`; or of a hint."""

    text: bytes
    how: Callable[[bytes], bytes]
    then: Then


class Proxy:
    """Forwards bytes; commands are recognised by a text they contain, such as a script's hash.

    Attributes:
        silent: nothing is forwarded any more, in either direction; connections stay open.
        mute: nothing comes back on connections that sent this text, e.g. b"SUBSCRIBE".
        lost: replies lost so far.
        spoiled: replies spoiled so far, as the server sent them.
        copies: how often the server gets each script's call beforehand, by other connections.
        kept: what came from clients, while this is a list.
        request_pace, reply_pace: bytes at once, and seconds of pause after them.
    """

    def __init__(self, server_url: str, url: str) -> None:
        self.url = url
        self.silent = False
        self.mute: bytes | None = None
        self.lost = 0
        self.spoiled: list[bytes] = []
        self.copies = 0
        self.kept: list[bytes] | None = None
        self.request_pace: tuple[int, float] | None = None
        self.reply_pace: tuple[int, float] | None = None
        self._server = urlsplit(server_url)
        self._lose: list[bytes] = []
        self._repeat: list[bytes] = []
        self._spoil: list[Spoil] = []
        self._spoil_hints: list[Spoil] = []
        self.requests_flow, self.replies_flow = asyncio.Event(), asyncio.Event()
        self.flow()
        self._links: set[Link] = set()

    def lose_reply_of(self, text: str, times: int = 1) -> None:
        """The server will carry out the next such commands; their replies never arrive, the
        connection breaks instead."""
        self._lose += [text.encode()] * times

    def spoil_reply_of(
        self, text: str, how: Callable[[bytes], bytes], then: Then = "go on"
    ) -> None:
        """The reply to the next such command will arrive as `how` makes it."""
        self._spoil.append(Spoil(text.encode(), how, then))

    def spoil_hint(self, how: Callable[[bytes], bytes], then: Then = "go on") -> None:
        """The same for the next message of a subscription."""
        self._spoil_hints.append(Spoil(b"message", how, then))

    @property
    def spoils_hint(self) -> bool:
        """Whether the next one will be."""
        return bool(self._spoil_hints)

    def spoil_nothing(self) -> None:
        """What was to be spoiled, and has not come, is let through."""
        self._spoil.clear()

    def repeat(self, text: str) -> None:
        """The server will get the next such command a second time, by another connection."""
        self._repeat.append(text.encode())

    def stall(self) -> None:
        """Nothing gets through; what is sent meanwhile comes late, as by TCP after an outage."""
        self.requests_flow.clear()
        self.replies_flow.clear()

    def flow(self, replies_only: bool = False) -> None:
        """End a stall; or only let through what the server has sent, and sends."""
        self.replies_flow.set()
        if not replies_only:
            self.requests_flow.set()

    def cut(self) -> None:
        """Break every connection."""
        for link in self._links:
            link.abort()

    def half_open(self) -> int:
        """The present connections bring and take nothing; new ones work. Returns how many there
        were."""
        for link in self._links:
            link.alive.clear()
        return len(self._links)

    def come_back(self) -> None:
        """What was sent by half-open connections comes, late, although the client is gone."""
        for link in self._links:
            link.alive.set()

    @property
    def awaited(self) -> list[bytes]:
        """Texts of commands that were to be lost, spoiled or repeated, and have not come."""
        return [*self._lose, *self._repeat, *(spoil.text for spoil in self._spoil)]

    # For links

    def spoil_of(self, command: bytes) -> Spoil | None:
        return _take_spoil(self._spoil, command)

    def spoil_of_hint(self, chunk: bytes) -> Spoil | None:
        return _take_spoil(self._spoil_hints, chunk)

    def copies_of(self, command: bytes) -> int:
        """Called for each command: how often to send it beforehand."""
        if self.kept is not None:
            self.kept.append(command)
        again = _take(self._repeat, command)
        return again + (self.copies if b"EVALSHA" in command else 0)

    def loses(self, command: bytes) -> bool:
        found = _take(self._lose, command)
        self.lost += found
        return found

    async def send_aside(self, command: bytes) -> None:
        """The server carries it out; nobody gets the reply."""
        reader, writer = await self._connect()
        writer.write(command)
        await reader.read(1)
        writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            try:
                server = await self._connect()
            except OSError:
                writer.transport.abort()  # the server is away: so is the proxy
                raise
            link = Link(self, (reader, writer), server)
            self._links.add(link)
            try:
                await link.run()
            finally:
                self._links.discard(link)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._server.scheme == "unix":
            return await asyncio.open_unix_connection(self._server.path)
        return await asyncio.open_connection(self._server.hostname, self._server.port)


def _take_spoil(spoils: list[Spoil], data: bytes) -> Spoil | None:
    found = next((spoil for spoil in spoils if spoil.text in data), None)
    if found is not None:
        spoils.remove(found)
    return found


def _take(texts: list[bytes], command: bytes) -> bool:
    """Remove the first text that is in the command; whether there was one."""
    found = next((text for text in texts if text in command), None)
    if found is not None:
        texts.remove(found)
    return found is not None


@contextlib.asynccontextmanager
async def proxied(server: HasUrl, tcp: bool = False) -> AsyncIterator[Proxy]:
    """A proxy in front of `server`; by TCP, if a reset is to be one."""
    with tempfile.TemporaryDirectory(prefix="proxy-") as directory:
        path = str(Path(directory) / "proxy.sock")
        proxy = Proxy(server.url, f"unix://{path}")
        if tcp:
            listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
            port = listening.sockets[0].getsockname()[1]
            proxy.url = f"redis://127.0.0.1:{port}/0"
        else:
            listening = await asyncio.start_unix_server(proxy.serve, path)
        try:
            yield proxy
        finally:
            listening.close()
            proxy.cut()
            # One turn for the connections' own tasks to end.
            await asyncio.sleep(0.01)
