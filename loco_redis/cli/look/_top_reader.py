"""Looking at a resource again and again, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from loco_redis.cli.look._top_report import Look, look
from loco_redis.errors import LocoRedisError
from loco_redis.observe import Observer
from loco_redis.snapshots import Snapshot

_LEAST_PAUSE = 0.05  # seconds between two looks, however long they take
_PATIENCE = 0.5  # for the end of a look under way when it is over
_DECAY = 0.95


@dataclass(frozen=True)
class News:
    """The last look that succeeded, the one before it, and why nothing newer is known.

    `at` is when it succeeded, by `time.monotonic`; `trouble` is empty while all is well.
    """

    seen: Look
    before: Snapshot | None
    at: float
    trouble: str = ""


class Reader:
    """Looks every `interval` seconds inside a `with`, so that a Redis that does not answer keeps
    nobody from quitting.

    A look is brief while a complete one takes more than half of the interval; what the last one
    took fades, so that a complete one is tried again now and then.

    Attributes:
        news: replaced as a whole; `on_news` is called then, in the reader's thread.
        failure: an error of this program; the thread has ended by it.
    """

    def __init__(self, observer: Observer, first: Look, interval: float) -> None:
        self._observer, self._interval = observer, interval
        self.news = News(first, None, time.monotonic())
        self.on_news: Callable[[], None] = _nobody
        self.failure: Exception | None = None
        self._cost = first.took
        self._changed = threading.Condition()
        self._is_over = self._is_resting = False
        self._thread = threading.Thread(target=self._run, name="loco-redis-top", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify()
        # One that hangs in a connection ends with the process: it only reads.
        self._thread.join(_PATIENCE)

    def every(self, interval: float) -> None:
        with self._changed:
            self._interval = interval
            self._changed.notify()

    def rest(self, is_resting: bool) -> None:
        """Do not look until told to go on."""
        with self._changed:
            self._is_resting = is_resting
            self._changed.notify()

    def _run(self) -> None:
        looked = time.monotonic()
        while self._may_look(looked):
            looked = time.monotonic()
            try:
                self._look()
            except Exception as error:  # noqa: BLE001  # it is raised in the main thread
                self.failure = error
            self.on_news()
            if self.failure:
                return

    def _may_look(self, looked: float) -> bool:
        """Waits for the next turn; False at the end."""
        ended = time.monotonic()
        with self._changed:
            while not self._is_over:
                due = max(looked + self._interval, ended + _LEAST_PAUSE)
                left = due - time.monotonic()
                if left <= 0 and not self._is_resting:
                    return True
                self._changed.wait(None if self._is_resting else left)
            return False

    def _look(self) -> None:
        is_brief = self._cost > self._interval / 2
        try:
            seen = look(self._observer, is_brief)
        except LocoRedisError as error:
            self.news = replace(self.news, trouble=str(error))
            return
        self._cost = self._cost * _DECAY if is_brief else seen.took
        self.news = News(seen, self.news.seen.now, time.monotonic())


def _nobody() -> None:
    pass
