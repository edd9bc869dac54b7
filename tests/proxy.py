"""A proxy of a server that loses replies, repeats commands, stalls, or falls silent."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from tests.servers import Server


class Proxy:
    """Forwards bytes; commands are recognised by a text they contain, such as a script's hash.

    Attributes:
        silent: nothing is forwarded any more, in either direction; connections stay open.
        mute: nothing comes back on connections that sent this text, e.g. b"SUBSCRIBE".
        lost: replies lost so far.
    """

    def __init__(self, server_path: str, path: str) -> None:
        self.url = f"unix://{path}"
        self.silent = False
        self.mute: bytes | None = None
        self.lost = 0
        self._server_path, self._path = server_path, path
        self._lose: list[bytes] = []
        self._repeat: list[bytes] = []
        self._requests_flow, self._replies_flow = asyncio.Event(), asyncio.Event()
        self.flow()
        self._writers: set[asyncio.StreamWriter] = set()

    def lose_reply_of(self, text: str, times: int = 1) -> None:
        """The server will carry out the next such commands; their replies never arrive, the
        connection breaks instead."""
        self._lose += [text.encode()] * times

    def repeat(self, text: str) -> None:
        """The server will get the next such command a second time, by another connection."""
        self._repeat.append(text.encode())

    def stall(self) -> None:
        """Nothing gets through; what is sent meanwhile comes late, as by TCP after an outage."""
        self._requests_flow.clear()
        self._replies_flow.clear()

    def flow(self, replies_only: bool = False) -> None:
        """End a stall; or only let through what the server has sent, and sends."""
        self._replies_flow.set()
        if not replies_only:
            self._requests_flow.set()

    def cut(self) -> None:
        """Break every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            there, out = await asyncio.open_unix_connection(self._server_path)
            self._writers |= {writer, out}
            muted = asyncio.Event()
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._requests(reader, out, writer, there, muted))
                    group.create_task(self._replies(there, writer, muted))
            except* (OSError, asyncio.IncompleteReadError, _Broken):
                pass
            finally:
                self._writers -= {writer, out}
                writer.transport.abort()
                out.transport.abort()

    async def _requests(
        self,
        reader: asyncio.StreamReader,
        out: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        muted: asyncio.Event,
    ) -> None:
        while chunk := await reader.read(1 << 16):
            await self._requests_flow.wait()
            if self.silent:
                await asyncio.Event().wait()
            if self.mute is not None and self.mute in chunk:
                muted.set()
            if text := _found(self._repeat, chunk):
                self._repeat.remove(text)
                await self._send_aside(chunk)
            if text := _found(self._lose, chunk):
                self._lose.remove(text)
                self.lost += 1
                await self._send_aside(chunk)
                raise _Broken
            out.write(chunk)
        raise _Broken

    async def _replies(
        self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, muted: asyncio.Event
    ) -> None:
        while chunk := await there.read(1 << 16):
            await self._replies_flow.wait()
            if self.silent or (muted.is_set() and b"subscribe" not in chunk):
                continue
            writer.write(chunk)
        raise _Broken

    async def _send_aside(self, chunk: bytes) -> None:
        """The server carries it out; nobody gets the reply."""
        reader, writer = await asyncio.open_unix_connection(self._server_path)
        writer.write(chunk)
        await reader.read(1)
        writer.close()


class _Broken(Exception):
    pass


def _found(texts: list[bytes], chunk: bytes) -> bytes | None:
    return next((text for text in texts if text in chunk), None)


@contextlib.asynccontextmanager
async def proxied(server: Server) -> AsyncIterator[Proxy]:
    """A proxy in front of `server`."""
    with tempfile.TemporaryDirectory(prefix="proxy-") as directory:
        path = str(Path(directory) / "proxy.sock")
        proxy = Proxy(server.url.removeprefix("unix://"), path)
        listening = await asyncio.start_unix_server(proxy.serve, path)
        try:
            yield proxy
        finally:
            listening.close()
            proxy.cut()
            # One turn for the connections' own tasks to end.
            await asyncio.sleep(0.01)
