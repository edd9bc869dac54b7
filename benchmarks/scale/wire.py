"""Bytes to servers and back: commands encoded beforehand, replies counted and not decoded.

A client library takes longer for a reply than the server for its script; then the library would be
measured. Here a reply costs a search through bytes, and one process fills several servers.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from loco_redis._scripts import Argument

_CHUNK = 1 << 18
_PATIENCE = 30.0
_ERROR = re.compile(rb"^-.*", re.MULTILINE)


def encoded(*args: Argument) -> bytes:
    """A command in RESP."""
    parts = [b"*%d\r\n" % len(args)]
    for arg in args:
        raw = arg if isinstance(arg, bytes) else str(arg).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
    return b"".join(parts)


class Wire:
    """A TCP connection. What is `put` goes out when its `Wires` are driven; a server always reads,
    so sending may block."""

    def __init__(self, url: str, on_lines: Callable[[bytes], None]) -> None:
        where = urlsplit(url)
        self._socket = socket.create_connection((where.hostname or "127.0.0.1", where.port or 6379))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._on_lines = on_lines
        self._out: list[bytes] = []
        self._rest = b""

    def fileno(self) -> int:
        return self._socket.fileno()

    def put(self, commands: Iterable[bytes]) -> None:
        self._out += commands

    def send(self) -> None:
        if self._out:
            self._socket.sendall(b"".join(self._out))
            self._out.clear()

    def receive(self) -> None:
        """Hand on the whole lines that have come; some bytes must be there.

        Raises:
            RuntimeError: the server answered with an error, or is gone.
        """
        came = self._socket.recv(_CHUNK)
        if not came:
            raise RuntimeError("the server has closed the connection")
        lines, end, self._rest = (self._rest + came).rpartition(b"\n")
        if found := _ERROR.search(lines):
            raise RuntimeError(found[0].decode(errors="replace"))
        self._on_lines(lines + end)

    def close(self) -> None:
        self._socket.close()


class Wires:
    """Several connections, driven by one thread; a context manager that closes them."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wires: list[Wire] = []

    def __enter__(self) -> Wires:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for wire in self._wires:
            wire.close()

    def open(self, url: str, on_lines: Callable[[bytes], None]) -> Wire:
        """A connection to the server at `url`, whose answers go to `on_lines`, line by line."""
        wire = Wire(url, on_lines)
        self._selector.register(wire, selectors.EVENT_READ)
        self._wires.append(wire)
        return wire

    def drive(self, done: Callable[[], bool], each: Callable[[], None] | None = None) -> None:
        """Send and receive until `done`; `each` is called in every round.

        Raises:
            TimeoutError: nothing came for 30 seconds.
        """
        heard = time.perf_counter()
        while not done():
            if each:
                each()
            for wire in self._wires:
                wire.send()
            ready = self._selector.select(0.02)
            for key, _ in ready:
                assert isinstance(key.fileobj, Wire)
                key.fileobj.receive()
            if ready:
                heard = time.perf_counter()
            elif time.perf_counter() - heard > _PATIENCE:
                raise TimeoutError(f"no answer for {_PATIENCE:g} s")
