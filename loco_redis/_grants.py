"""How grants come in: by a reply, by a hint, or by a poll for what was missed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from loco_redis._ledger import Ledger
from loco_redis._replies import Grant, HeartbeatReply, PollReply, Status

if TYPE_CHECKING:
    from loco_redis._session import Session


class Grants:
    """Hands grants to the requests they are for. The first of several copies wins.

    One that comes in while the session is uncertain is not believed: it may have been on its way
    during an outage, and its slot be somebody else's by now. It is not counted either, so the next
    heartbeat that gets through has the session poll for it; or says that the session has expired.
    """

    def __init__(self, session: Session) -> None:
        self._session, self._figures = session, session.figures
        self._polling = self._poll_again = False
        self._unseen: set[int] = set()  # by the present poll

    def take(self, ledger: Ledger, grants: Iterable[Grant]) -> None:
        """From a reply."""
        for grant in grants:
            if not ledger.uncertain and ledger.take(grant):
                ledger.received += 1
                self._figures.granted(grant.token)

    def hint(self, grant: Grant) -> None:
        """From the inbox."""
        self.take(self._session.ledger, (grant,))

    def heard(self, ledger: Ledger, beat: HeartbeatReply) -> None:
        """From the heartbeat, which says how many grants there must be."""
        if beat.status is Status.EXPIRED:
            self._session.expire(ledger)
        elif not ledger.expired:
            ledger.seen = max(ledger.seen, beat.fence)
            if beat.delivered > ledger.received:
                self.poll()

    def poll(self) -> None:
        """Ask for what may have been missed, and for what is not there any more; nothing to do
        while nothing is waited for or held."""
        ledger = self._session.ledger
        if self._polling:
            self._poll_again = True
        elif self._session.is_open and (ledger.requests or ledger.leases):
            self._polling = True
            self._unseen = ledger.known
            self._ask(ledger, "")

    def _ask(self, ledger: Ledger, after: str) -> None:
        command = self._session.scripts.poll(session=ledger.session, after=after)
        self._session.outbox.post(command, partial(self._page, ledger, after == ""))

    def _page(
        self, ledger: Ledger, first: bool, value: PollReply | Exception, retried: bool
    ) -> None:
        if not isinstance(value, Exception):
            if value.status is Status.EXPIRED:
                self._session.expire(ledger)
            believed = not ledger.uncertain
            if not believed:
                ledger.received = -1  # so that the next heartbeat has it poll again
            elif first:
                # Every grant up to now is in these pages, or has ended since.
                ledger.received = value.delivered
            for grant in value.grants:
                if believed and ledger.take(grant):
                    self._figures.granted(grant.token)
                    self._figures.lost_hints += 1
            self._unseen -= {grant.sequence for grant in value.grants}
            self._unseen.difference_update(value.waiting)
            if value.after:
                self._ask(ledger, value.after)
                return
            if value.status is Status.OK:
                ledger.evicted(self._unseen)
                self._session.notice_idle()
        self._polling = False
        if self._poll_again:
            self._poll_again = False
            self.poll()
