"""What was refused because the server lacks its script, or its function: it goes out again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from loco_redis._entry import NEVER, Entry
from loco_redis._scripts import Scripts
from loco_redis._wire import pack
from loco_redis.errors import BackendError

_LIBRARY_PAUSE = 0.25

_log = logging.getLogger("loco_redis")


class Unloaded:
    """Entries that wait for their script to be loaded, which goes out right before them; or for an
    administrator to load the functions, for which they are sent again and again.

    Attributes:
        entries: those that wait.
        missing: scripts to be loaded.
    """

    def __init__(self, scripts: Scripts, send_again: Callable[[], None]) -> None:
        self._scripts, self._send_again = scripts, send_again
        self.entries: list[Entry] = []
        self.missing: set[str] = set()
        self._unloadable: dict[str, Exception] = {}  # why SCRIPT LOAD was refused
        self._timer: asyncio.TimerHandle | None = None

    def add(self, entries: Iterable[Entry], script: str) -> bool:
        """Have the script loaded for these; False where that was refused before."""
        if script in self._unloadable:
            return False
        self.entries += entries
        self.missing.add(script)
        return True

    def why(self, script: str) -> Exception | None:
        """Why it could not be loaded; the next one tries again."""
        return self._unloadable.pop(script, None)

    def keep(self, entries: Iterable[Entry], error: BackendError) -> None:
        """Their functions are not loaded: only an administrator can help. Who waits for a reply is
        told so; what has to get through, a release or a withdrawal, goes on until it does."""
        for entry in entries:
            entry.go_on()
            if entry.deadline == NEVER:
                self.entries.append(entry)
            else:
                entry.finish(error)
        if self.entries and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_LIBRARY_PAUSE, self._retry)

    def take(self) -> list[Entry]:
        """Those that wait, behind the loading of what they lack."""
        again = [*map(self._load, sorted(self.missing)), *self.entries]
        self.entries.clear()
        self.missing.clear()
        return again

    def recall(self) -> list[Entry]:
        """Those that wait, as another connection may know their scripts."""
        again = [*self.entries]
        self.entries.clear()
        self.missing.clear()
        return again

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _retry(self) -> None:
        self._timer = None
        self._send_again()

    def _load(self, script: str) -> Entry:
        _log.debug("loading script %s", script)

        def done(value: Any, retried: bool) -> None:
            if isinstance(value, Exception):
                self._unloadable[script] = value
            else:
                self._unloadable.pop(script, None)

        frame = pack(("SCRIPT", "LOAD", self._scripts.source(script)))
        return Entry(frame, "SCRIPT LOAD", lambda raw: raw, done, NEVER)
