"""The HTTP server of the fake provider: sockets, delays, gates, broken connections."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from loco_redis.testing.fake_provider.answer import Answer
from loco_redis.testing.fake_provider.record import Record, Request, Visit
from loco_redis.testing.fake_provider.routes import answer_to

STATS = "/stats"
_REASONS = {200: b"OK", 429: b"Too Many Requests", 529: b"Overloaded"}
# Seconds between looks whether the caller of a held answer is still there, and for a look.
_BETWEEN_LOOKS, _LOOK = 0.01, 0.0001
_LAST_CHUNK = b"0\r\n\r\n"


class Gone(ConnectionError):
    """The caller has closed the connection."""


class Server(ThreadingHTTPServer):
    """A thread for each connection; they end when their connections do."""

    request_queue_size = 1024  # a full queue makes callers wait a second

    def __init__(self, host: str, port: int, latency: float) -> None:
        super().__init__((host, port), Handler)
        self.record, self.latency = Record(), latency
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, threading.Thread] = {}

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            name="fake-provider.connection",
            daemon=True,
        )
        with self._lock:
            self._connections[request] = thread
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                del self._connections[request]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections break here all the time; everything else is to be seen."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def end_connections(self) -> None:
        """Close those that are kept alive, or under way, and wait for their threads."""
        with self._lock:
            connections = dict(self._connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # its thread has just closed it
        for thread in connections.values():
            thread.join()


class Handler(BaseHTTPRequestHandler):
    """Serves one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == STATS:
            figures = Answer.of_json(self._owner.record.figures)
            self.wfile.write(_head(figures, None, 0) + figures.parts[0])
        else:
            self._serve({})

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        raw = self.rfile.read(length)
        if len(raw) < length:
            self.close_connection = True
            return
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError):
            body = None
        self._serve(body if isinstance(body, dict) else {})

    def log_message(self, format: str, *args: Any) -> None:
        pass

    @property
    def _owner(self) -> Server:
        return cast(Server, self.server)

    def _serve(self, body: Mapping[str, Any]) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        visit = self._owner.record.begin(request)
        try:
            self._send(answer_to(request, visit.reply, visit.number), visit)
        except ConnectionError:
            visit.disconnected()
            self.close_connection = True
        finally:
            visit.end()

    def _send(self, answer: Answer, visit: Visit) -> None:
        reply = visit.reply
        self._pause(self._owner.latency if reply.delay is None else reply.delay)
        unsent = _head(answer, reply.retry_after, visit.number)
        last = len(answer.parts) - 1
        for index, part in enumerate(answer.parts):
            if index:
                self._pause(reply.chunk_delay)
            if reply.gate is not None and index == min(reply.gate_after, last):
                self._wait_for(reply.gate)
            if reply.break_after is not None and index >= min(reply.break_after, last):
                self._break_off(answer, unsent if reply.break_after else b"")
                return
            if index == last:
                visit.complete(answer.billed)
            self.wfile.write(unsent + _framed(part, answer.streamed, index == last))
            unsent = b""

    def _break_off(self, answer: Answer, unsent: bytes) -> None:
        """`unsent` is the head of an answer that is no stream: some of it is to arrive."""
        if unsent:
            self.wfile.write(unsent + answer.parts[0][: len(answer.parts[0]) // 2])
        self.close_connection = True

    def _pause(self, seconds: float) -> None:
        """Sleep, but notice when the caller goes away."""
        if seconds <= 0:
            return
        self.connection.settimeout(seconds)
        try:
            if not self.connection.recv(1, socket.MSG_PEEK):
                raise Gone
        except TimeoutError:
            pass
        finally:
            self.connection.settimeout(None)

    def _wait_for(self, gate: threading.Event) -> None:
        while not gate.wait(_BETWEEN_LOOKS):
            self._pause(_LOOK)


def _head(answer: Answer, retry_after: float | str | None, number: int) -> bytes:
    streamed = answer.streamed
    kind = answer.content_type or ("text/event-stream" if streamed else "application/json")
    lines = [
        b"HTTP/1.1 %d %b" % (answer.status, _REASONS.get(answer.status, b"Error")),
        b"content-type: %b" % kind.encode(),
        b"request-id: req_%06d" % number,
        b"x-request-id: req_%06d" % number,
        *(f"{name}: {value}".encode() for name, value in answer.headers),
    ]
    if streamed:
        lines.append(b"transfer-encoding: chunked")
    else:
        lines.append(b"content-length: %d" % len(answer.parts[0]))
    if retry_after is not None:
        seconds = retry_after if isinstance(retry_after, str) else f"{retry_after:g}"
        lines.append(b"retry-after: %b" % seconds.encode())
    return b"\r\n".join((*lines, b"\r\n"))


def _framed(part: bytes, streamed: bool, last: bool) -> bytes:
    """The end goes out with the last part: many callers go on as soon as they have seen that."""
    if not streamed:
        return part
    return b"%x\r\n%b\r\n" % (len(part), part) + (_LAST_CHUNK if last else b"")
