"""What the fixture `loco_server` gives: a real server of this test session's own."""

from __future__ import annotations

import redis

from loco_redis._server import EmbeddedServer


class LocoServer:
    """An embedded server that ends with the process.

    Attributes:
        url: for `redis=` of a scheduler, here or in another process of this machine.
    """

    def __init__(self, process: EmbeddedServer) -> None:
        self.url = process.url
        self._process = process
        self._client = redis.Redis.from_url(process.url)

    def __repr__(self) -> str:
        return f"<LocoServer {self.url}>"

    def flush(self) -> None:
        """Take away all keys; done before each test that uses it."""
        self._client.flushall()

    def stop(self) -> None:
        """The session is over."""
        self._client.close()
        self._process.stop()
