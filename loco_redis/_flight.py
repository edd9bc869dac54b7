"""What is under way. A flight goes out as one command and comes back as one reply: it carries an
entry, or several neighbours of the queue that one script does one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, cast

from loco_redis._entry import Entry
from loco_redis._scripts import Command, Scripts
from loco_redis._wire import Framer

MOST = 8  # entries in a script, in which the server does nothing else


class Flight:
    """Entries on their way together."""

    __slots__ = ("entries", "script")

    def __init__(self, entry: Entry) -> None:
        self.entries, self.script = [entry], entry.script

    def takes(self, entry: Entry) -> bool:
        """Take one more in, if it fits."""
        session = self.entries[0].session
        if session is None or session != entry.session or len(self.entries) == MOST:
            return False
        self.entries.append(entry)
        self.script = "several"
        return True

    def frame(self, scripts: Scripts, framer: Framer) -> bytes:
        """What goes over the wire."""
        what = self.entries[0].what
        if len(self.entries) > 1:
            steps = [cast(Command[Any], entry.what) for entry in self.entries]
            return framer.script(scripts.several(steps))
        return what if isinstance(what, bytes) else framer.script(what)

    def replies(self, raw: Any) -> Iterable[tuple[Entry, Any]]:
        """Each entry with its own reply; None where there is no telling whose is whose."""
        if len(self.entries) == 1:
            return ((self.entries[0], raw),)
        if not isinstance(raw, list) or len(raw) != len(self.entries):
            raw = [None] * len(self.entries)
        return zip(self.entries, raw, strict=True)


class Flights:
    """Those under way, the first sent first; replies come in the same order.

    Attributes:
        load: entries on board.
    """

    def __init__(self) -> None:
        self._flights: deque[Flight] = deque()
        self.load = 0

    def __len__(self) -> int:
        return len(self._flights)

    def __iter__(self) -> Iterator[Entry]:
        return (entry for flight in self._flights for entry in flight.entries)

    @property
    def first(self) -> Flight:
        return self._flights[0]

    def leave(self, entries: list[Entry]) -> list[Flight]:
        """They are sent, in this order."""
        new: list[Flight] = []
        for entry in entries:
            if not new or not new[-1].takes(entry):
                new.append(Flight(entry))
        self._flights.extend(new)
        self.load += len(entries)
        return new

    def land(self) -> Flight:
        """The first is answered."""
        flight = self._flights.popleft()
        self.load -= len(flight.entries)
        return flight

    def clear(self) -> None:
        self._flights.clear()
        self.load = 0
