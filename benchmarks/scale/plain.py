"""What a load is compared with, and who suffers by it: a script that does nothing, and a PING."""

from __future__ import annotations

import time

import redis

from benchmarks.scale.wire import Wires, encoded
from loco_redis._scripts import Argument

_BLOCK, _BLOCKS = 64, 4
_NOTHING = "return 1"


class Flood:
    """`EVALSHA "return 1"` with `args` after it, as fast as the server takes it: 256 under way.

    Attributes:
        answered: so far.
    """

    def __init__(self, wires: Wires, url: str, *args: Argument) -> None:
        with redis.Redis.from_url(url) as client:
            sha = client.script_load(_NOTHING)
        self._wires, self._wire = wires, wires.open(url, self._on_replies)
        self._block = [encoded("EVALSHA", sha, *(args or (0,)))] * _BLOCK
        self._running = False
        self._sent = self.answered = 0

    def run(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        self._running = True
        for _ in range(_BLOCKS):
            self._put()
        self._wires.drive(lambda: time.perf_counter() >= end)
        self._running = False
        self._wires.drive(lambda: self.answered == self._sent)

    def _put(self) -> None:
        self._wire.put(self._block)
        self._sent += _BLOCK

    def _on_replies(self, lines: bytes) -> None:
        self.answered += lines.count(b":")
        while self._running and self._sent - self.answered <= _BLOCK * (_BLOCKS - 1):
            self._put()


class Probe:
    """Another client of a server under load, that says PING every 20 ms: call it in each round.

    Attributes:
        waits: seconds until each was answered.
    """

    _EVERY = 0.02

    def __init__(self, wires: Wires, url: str) -> None:
        self.waits: list[float] = []
        self._wire, self._sent, self._waiting = wires.open(url, self._on_pong), 0.0, False

    def __call__(self) -> None:
        now = time.perf_counter()
        if not self._waiting and now >= self._sent + self._EVERY:
            self._sent, self._waiting = now, True
            self._wire.put([b"PING\r\n"])

    def _on_pong(self, _: bytes) -> None:
        self.waits.append(time.perf_counter() - self._sent)
        self._waiting = False
