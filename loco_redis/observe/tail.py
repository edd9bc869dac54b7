"""Following the decision log for as long as somebody looks."""

from __future__ import annotations

from loco_redis.observe.events import Event, order
from loco_redis.observe.observer import Observer

_BEGINNING = "0-0"


class Tail:
    """Gives what is logged after `after`, each event once.

    It goes on where the log was trimmed, switched off and on again, or lost with its server's
    data: then it begins anew, because serial numbers do.
    """

    def __init__(self, observer: Observer, after: str | None = None) -> None:
        self._observer = observer
        self._born = observer.born()
        self._after = observer.last_event_id() if after is None else after

    def __repr__(self) -> str:
        return f"<Tail of {self._observer!r} after {self._after}>"

    @property
    def after(self) -> str:
        """The id of the last event that was given, or the one to begin after."""
        return self._after

    def more(self, patience: float) -> list[Event]:
        """The next ones, at most a page; waits at most `patience` seconds for the first."""
        found = self._observer.events_after(self._after, patience)
        if self._is_another_log(bool(found)):
            self._after = _BEGINNING
            return []
        if found:
            self._after = found[-1].event_id
        return found

    def _is_another_log(self, found: bool) -> bool:
        """Whether what we know the end of is gone. Its successor may already have got further."""
        born, before = self._observer.born(), self._born
        if born is not None:
            self._born = born
        if born is not None and before is not None and born != before:
            return True
        # Data of an earlier moment, from a backup or a replica: the same birth, lower numbers.
        return not found and order(self._observer.last_event_id()) < order(self._after)
