"""What one dump after the other must show: the invariants, progress, no session or slot astray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from loco_redis._rows import SessionRow
from loco_redis.testing import invariants
from loco_redis.testing.dump import Dump

# On the lease clock, in leases: whatever is done to a holder, its slot is given up before.
HELD_AT_MOST = 10
# A waiter is overlooked when so many others per waiter have been served, and this long.
SERVED_BEFORE, WAITED_AT_MOST = 20, 30


@dataclass
class Since:
    """When a row was first seen: on the lease clock (us), and how many grants there had been."""

    vnow: int
    granted: int


class Watch:
    """Tells (`event=`): `gone` of each session that ended, with the process it was of, and between
    which moments; `born` of each new life of the resource; `violation`."""

    def __init__(self, tell: Callable[..., Any]) -> None:
        self._tell = tell
        self._before: Dump | None = None
        self._before_at = 0.0
        self._leases: dict[bytes, Since] = {}
        self._waiters: dict[bytes, Since] = {}
        self._fence = 0
        self.dumps = self.granted = self.reclaimed = 0

    def look(self, dump: Dump, asked: float, seen: float) -> None:
        """The next dump; it is of a moment between `asked` and `seen`."""
        self.dumps += 1
        try:
            invariants.check(dump)
        except invariants.InvariantViolation as error:
            self._violation(seen, f"{error}")
        before = self._before
        if not dump.vars:
            return
        if before is None or dump.vars[b"born"] != before.vars[b"born"]:
            self._reborn(dump, asked, seen)
        else:
            self._goes_on(before, dump, asked, seen)
        self._follow(dump, seen)
        self._before, self._before_at = dump, asked
        self._fence = max(self._fence, dump.number("fence"))

    def _reborn(self, dump: Dump, asked: float, seen: float) -> None:
        """The server was emptied: only tokens rise over that."""
        self._leases.clear()
        self._waiters.clear()
        self._tell(event="born", after=self._before_at, at=seen)
        for rid, lease in dump.leases.items():
            if lease.token <= self._fence:
                text = f"{rid!r} has token {lease.token}, {self._fence} was given before"
                self._violation(seen, text)
        self.granted += dump.number("granted")
        self.reclaimed += dump.number("reclaimed")

    def _goes_on(self, before: Dump, dump: Dump, asked: float, seen: float) -> None:
        try:
            invariants.check_progress(before, dump)
        except invariants.InvariantViolation as error:
            self._violation(seen, f"between two dumps: {error}")
        self.granted += max(0, dump.number("granted") - before.number("granted"))
        self.reclaimed += max(0, dump.number("reclaimed") - before.number("reclaimed"))
        for session, row in before.sessions.items():
            if session not in dump.sessions:
                info = SessionRow.parse(row).info.decode()
                held = sum(rid.startswith(session) for rid in before.leases)
                self._tell(
                    event="gone",
                    session=session.decode(),
                    pid=int(info.rpartition("|")[2] or 0),
                    after=self._before_at,
                    at=seen,
                    held=held,
                )

    def _follow(self, dump: Dump, seen: float) -> None:
        """Slots held for ever, and waiters nobody thinks of."""
        now = Since(dump.number("vnow"), dump.number("granted"))
        lease, waiting = dump.number("lease"), max(1, dump.number("waiting"))
        self._leases = {rid: self._leases.get(rid, now) for rid in dump.leases}
        self._waiters = {rid: self._waiters.get(rid, now) for rid in dump.waiting}
        for rid, since in self._leases.items():
            if now.vnow - since.vnow > HELD_AT_MOST * lease:
                self._violation(seen, f"{rid!r} has held a slot for {HELD_AT_MOST} leases")
                since.vnow = now.vnow
        for rid, since in self._waiters.items():
            others = now.granted - since.granted
            if now.vnow - since.vnow > WAITED_AT_MOST * 10**6 and others > SERVED_BEFORE * waiting:
                self._violation(seen, f"{rid!r} waits while {others} others were served")
                since.vnow = now.vnow

    def _violation(self, at: float, text: str) -> None:
        self._tell(event="violation", at=at, text=text)
