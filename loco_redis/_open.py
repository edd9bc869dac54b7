"""The schedulers that are open in this process, for what serves the figures of all of them."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from loco_redis.scheduler import AsyncLOCOScheduler


class OpenSchedulers:
    """They are added in the threads of their loops and listed in others; none is kept alive."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """In a forked child: its parent's are not its own, and their lock may be held."""
        self._lock = threading.Lock()
        self._known: WeakSet[AsyncLOCOScheduler] = WeakSet()

    def add(self, scheduler: AsyncLOCOScheduler) -> None:
        with self._lock:
            self._known.add(scheduler)

    def discard(self, scheduler: AsyncLOCOScheduler) -> None:
        with self._lock:
            self._known.discard(scheduler)

    def all(self) -> list[AsyncLOCOScheduler]:
        with self._lock:
            return [*self._known]


open_schedulers = OpenSchedulers()
os.register_at_fork(after_in_child=open_schedulers.clear)
