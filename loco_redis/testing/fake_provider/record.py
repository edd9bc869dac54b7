"""Record: what a fake provider was asked, had in hand at once, and answered."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loco_redis.testing.fake_provider.billed import Billed
from loco_redis.testing.fake_provider.reply import Reply


@dataclass(frozen=True, slots=True)
class Request:
    """As it came in. Names of headers are in lower case; `body` is empty where there was none."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


class Record:
    """The queue of replies, and what became of the requests. Safe to use from many threads.

    Attributes:
        default: the reply of calls for which nothing is scripted.
    """

    def __init__(self) -> None:
        self.default = Reply()
        self._lock = threading.Lock()
        self._scripted: deque[Reply] = deque()
        self._requests: list[Request] = []
        self._reported: list[Billed] = []
        self._in_flight = self._peak = self._disconnects = 0

    def script(self, *replies: Reply) -> None:
        """For the next requests, in the order in which they come in."""
        with self._lock:
            self._scripted.extend(replies)

    def begin(self, request: Request) -> Visit:
        with self._lock:
            self._requests.append(request)
            self._in_flight += 1
            self._peak = max(self._peak, self._in_flight)
            reply = self._scripted.popleft() if self._scripted else self.default
            return Visit(self, len(self._requests), reply)

    @property
    def requests(self) -> list[Request]:
        with self._lock:
            return list(self._requests)

    @property
    def reported(self) -> list[Billed]:
        with self._lock:
            return list(self._reported)

    @property
    def figures(self) -> dict[str, int]:
        with self._lock:
            return {
                "requests": len(self._requests),
                "in_flight": self._in_flight,
                "peak": self._peak,
                "disconnects": self._disconnects,
                "answers_billed": len(self._reported),
                "tokens_billed": sum(billed.total_tokens for billed in self._reported),
            }

    def _end(self, billed: Billed | None) -> None:
        with self._lock:
            self._in_flight -= 1
            if billed is not None:
                self._reported.append(billed)

    def _disconnected(self, billed: Billed | None) -> None:
        with self._lock:
            self._disconnects += 1
            if billed is not None:
                self._reported.remove(billed)


class Visit:
    """One request in hand. Used by the one thread that serves it.

    Attributes:
        number: of the request, from 1.
    """

    def __init__(self, record: Record, number: int, reply: Reply) -> None:
        self.number, self.reply = number, reply
        self._record = record
        self._billed: Billed | None = None
        self._ended = False

    def complete(self, billed: Billed | None) -> None:
        """Just before the last bytes are written: once they are out, the caller may go on, and
        whatever it does next must not be counted together with this request."""
        self._billed = billed
        self.end()

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self._record._end(self._billed)

    def disconnected(self) -> None:
        """The caller went away before it had the whole answer."""
        self._record._disconnected(self._billed if self._ended else None)
        self._billed = None
