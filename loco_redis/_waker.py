"""Looking again at the moment that a script has told: there is no daemon that would grant then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from loco_redis._replies import ReapReply

if TYPE_CHECKING:
    from loco_redis._session import Session

_SOONEST = 0.002  # seconds; what becomes due meanwhile is granted together


class Waker:
    """A timer for a session with waiting requests: a slot is free that the resource's rate, or a
    hold that somebody asked for, does not let anyone have yet; or a task's time will have come. Of
    tasks of its own a session keeps the time without waiting for anything."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._timer: asyncio.TimerHandle | None = None
        self._is_own = False

    def at(self, microseconds: int, is_own: bool = False) -> None:
        """Look again after so long, if not sooner; 0: no need."""
        if not microseconds:
            return
        self._is_own |= is_own
        when = self._session.loop.time() + max(microseconds / 1e6, _SOONEST)
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = self._session.loop.call_at(when, self._look)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        session = self._session
        if session.is_open and (session.ledger.requests or self._is_own):
            self._is_own = False
            command = session.scripts.reap(session=session.ledger.session)
            session.outbox.post(command, self._looked, session.backend_timeout)

    def _looked(self, value: ReapReply | Exception, retried: bool) -> None:
        # The grants come as hints; what a failure misses, the heartbeat grants.
        if isinstance(value, ReapReply):
            self.at(value.wake)
