"""A TLS endpoint before any server, and certificates of every kind that a client must refuse."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


class Papers:
    """Certificates of an authority of the test's own, as files and contexts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority, self._stranger = trustme.CA(), trustme.CA()
        self.authority, self.stranger = folder / "ca.pem", folder / "stranger.pem"
        self._authority.cert_pem.write_to_path(self.authority)
        self._stranger.cert_pem.write_to_path(self.stranger)
        self.client, self.key = folder / "client.pem", folder / "client.key"
        own = self._authority.issue_cert("worker@example.org")
        own.cert_chain_pems[0].write_to_path(self.client)
        own.private_key_pem.write_to_path(self.key)

    def server(self, host: str = "localhost", expired: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.renew(context, host, expired)
        return context

    def renew(
        self, context: ssl.SSLContext, host: str = "localhost", expired: bool = False
    ) -> None:
        """A server's next handshakes show another certificate."""
        now = datetime.now(UTC)
        ended = now - timedelta(hours=1) if expired else None
        begun = now - timedelta(days=2)
        self._authority.issue_cert(host, not_before=begun, not_after=ended).configure_cert(context)

    def strict_server(self) -> ssl.SSLContext:
        """It asks its clients for a certificate of the same authority."""
        context = self.server()
        context.verify_mode = ssl.CERT_REQUIRED
        self._authority.configure_trust(context)
        return context


class Terminator:
    """Where TLS ends: a port of localhost.

    Attributes:
        hang_up: so many of the next connections end in the middle of their handshake.
    """

    def __init__(self, server_path: str, context: ssl.SSLContext) -> None:
        self.port = self.hang_up = 0
        self._server_path, self._context = server_path, context
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Break every connection."""
        for writer in [*self._writers]:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.hang_up:
            self.hang_up -= 1
            await reader.read(1)
            writer.close()
            return
        self._writers.add(writer)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            there, out = await asyncio.open_unix_connection(self._server_path)
            self._writers.add(out)
            passage = _Passage(self._context, reader, writer)
            try:
                await passage.shake_hands()
                ways = {
                    asyncio.ensure_future(passage.inward(out)),
                    asyncio.ensure_future(passage.outward(there)),
                }
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()
            finally:
                self._writers -= {writer, out}
                writer.close()
                out.close()


class _Passage:
    """One connection's TLS. asyncio's own would close it without telling the client why."""

    def __init__(
        self, context: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader, self._writer = reader, writer
        self._came, self._goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._came, self._goes, server_side=True)

    async def shake_hands(self) -> None:
        """Raises ssl.SSLError; the client has been sent the alert then."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                await self._take()
            else:
                return
            finally:
                self._flush()

    async def inward(self, out: asyncio.StreamWriter) -> None:
        while True:
            try:
                while chunk := self._tls.read(1 << 16):
                    out.write(chunk)
                return
            except ssl.SSLWantReadError:
                await self._take()

    async def outward(self, there: asyncio.StreamReader) -> None:
        while chunk := await there.read(1 << 16):
            self._tls.write(chunk)
            self._flush()

    async def _take(self) -> None:
        if not (chunk := await self._reader.read(1 << 16)):
            raise ConnectionError
        self._came.write(chunk)

    def _flush(self) -> None:
        self._writer.write(self._goes.read())


@contextlib.asynccontextmanager
async def terminated(server_url: str, context: ssl.SSLContext) -> AsyncIterator[Terminator]:
    """A TLS endpoint of the server behind a unix socket."""
    path = server_url.removeprefix("unix://").partition("?")[0]
    terminator = Terminator(path, context)
    async with await asyncio.start_server(
        terminator.serve, "localhost", 0, family=socket.AF_INET
    ) as listening:
        terminator.port = listening.sockets[0].getsockname()[1]
        yield terminator
        terminator.cut()
