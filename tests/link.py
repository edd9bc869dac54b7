"""One connection through a proxy: its bytes in both directions, and what is done to them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.proxy import Proxy, Spoil

_RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: closing sends RST instead of FIN


class Broken(Exception):
    """This connection is to end now."""


class Link:
    """Forwards between a client and the server what `proxy` lets through.

    Attributes:
        alive: while it is not, nothing is forwarded, but both ends stay open.
    """

    def __init__(
        self,
        proxy: Proxy,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._proxy = proxy
        self._from_client, self._to_client = client
        self._from_server, self._to_server = server
        self.alive = asyncio.Event()
        self.alive.set()
        self._muted = False
        self._begun = b""  # a command that has come in part
        self._spoils: list[Spoil] = []  # for replies of commands that have passed

    async def run(self) -> None:
        """Until either end closes, or a fault ends it."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._requests())
                group.create_task(self._replies())
        except* (OSError, asyncio.IncompleteReadError, Broken):
            pass
        finally:
            self.abort()

    def abort(self) -> None:
        for writer in (self._to_client, self._to_server):
            writer.transport.abort()

    def _reset(self) -> None:
        """The client gets a RST, which a unix socket does not know: there it is an end of file."""
        raw: socket.socket = self._to_client.get_extra_info("socket")
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        raise Broken

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        chunk = await reader.read(1 << 16)
        if not chunk:
            raise Broken
        await self.alive.wait()
        return chunk

    async def _commands(self) -> list[bytes]:
        """Those that have come in whole."""
        self._begun += await self._read(self._from_client)
        commands = []
        while end := _end_of_command(self._begun):
            commands.append(self._begun[:end])
            self._begun = self._begun[end:]
        return commands

    async def _requests(self) -> None:
        proxy = self._proxy
        while True:
            commands = await self._commands()
            await proxy.requests_flow.wait()
            if proxy.silent:
                await asyncio.Event().wait()
            for command in commands:
                if proxy.mute is not None and proxy.mute in command:
                    self._muted = True
                if spoil := proxy.spoil_of(command):
                    self._spoils.append(spoil)
                for _ in range(proxy.copies_of(command)):
                    await proxy.send_aside(command)
                if proxy.loses(command):
                    await proxy.send_aside(command)
                    raise Broken
                await self._write(self._to_server, command, proxy.request_pace)

    async def _replies(self) -> None:
        proxy = self._proxy
        while True:
            chunk = await self._read(self._from_server)
            await proxy.replies_flow.wait()
            if proxy.silent or (self._muted and b"subscribe" not in chunk):
                continue
            spoil = self._spoils.pop(0) if self._spoils else proxy.spoil_of_hint(chunk)
            if spoil is not None:
                proxy.spoiled.append(chunk)
                self._to_client.write(spoil.how(chunk))
                if spoil.then == "reset":
                    self._reset()
                if spoil.then == "close":
                    raise Broken
                continue
            await self._write(self._to_client, chunk, proxy.reply_pace)

    async def _write(
        self, writer: asyncio.StreamWriter, chunk: bytes, pace: tuple[int, float] | None
    ) -> None:
        size, pause = pace or (len(chunk), 0.0)
        for start in range(0, len(chunk), size):
            writer.write(chunk[start : start + size])
            await writer.drain()
            if pause:
                await asyncio.sleep(pause)


def _end_of_command(data: bytes) -> int:
    """Where the first command ends, which is an array of bulk strings; 0 if it is not whole."""
    end = data.find(b"\r\n") + 2
    if end < 2:
        return 0
    for _ in range(int(data[1 : end - 2])):
        start, end = end, data.find(b"\r\n", end) + 2
        if end < 2:
            return 0
        end += int(data[start + 1 : end - 2]) + 2
    return end if end <= len(data) else 0
