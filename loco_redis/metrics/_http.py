"""A small HTTP server in a thread, which really ends."""

from __future__ import annotations

import socket
import threading
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

_IDLE_TIMEOUT = 2.0  # seconds for a client to say what it wants
_POLL = 0.1


class _Handler(WSGIRequestHandler):
    timeout = _IDLE_TIMEOUT

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are no news."""


class _Listener(ThreadingMixIn, WSGIServer):
    # Threads are waited for when the server is closed; their number is that of scrapes under way.
    daemon_threads = False
    allow_reuse_address = True

    def server_bind(self) -> None:
        """Without looking up the host's full name, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]
        self.setup_environ()


class _ListenerV6(_Listener):
    address_family = socket.AF_INET6


class HTTPServer:
    """Serves a WSGI application from its making until `stop`.

    Raises:
        OSError: the address cannot be listened to.
    """

    def __init__(self, application: Any, port: int, addr: str, name: str) -> None:
        kind = _ListenerV6 if ":" in addr else _Listener
        self._listener = kind((addr, port), _Handler)
        self._listener.set_app(application)
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(_POLL,), name=name, daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        return self._listener.server_port

    def stop(self) -> None:
        """The port is free and no thread is left when this returns."""
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()
