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
        self._polling = self._poll_again = self._reconnected = False
        self._unseen: set[int] = set()  # by the present poll
        self._there: set[int] = set()  # and what it has seen

    def take(self, ledger: Ledger, grants: Iterable[Grant]) -> None:
        """From a reply."""
        for grant in grants:
            if ledger.uncertain:
                continue
            if ledger.take(grant):
                ledger.received += 1
                self._figures.granted(grant.token)
            elif not ledger.expired and not ledger.has(grant.sequence):
                # A late duplicate of an acquire that had been refused, which nobody waits for.
                self._session.requests.give_back(ledger, grant.sequence)

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
                self.poll(of_nothing=True)

    def reconnected(self) -> None:
        """Redis may have forgotten its last writes (a failover, a crash with `everysec`): requests
        that it had, and that others of ours have ended."""
        self._reconnected = self._session.is_open
        self.poll(of_nothing=True)

    def poll(self, of_nothing: bool = False) -> None:
        """Ask for what may have been missed, and for what is not there any more; nothing to do
        while nothing is waited for or held, unless Redis seems to have something nevertheless."""
        ledger = self._session.ledger
        if self._polling:
            self._poll_again = True
        elif self._session.is_open and (of_nothing or ledger.requests or ledger.leases):
            self._polling = True
            self._unseen = {*ledger.requests, *ledger.leases, *ledger.entering}
            self._there = set()
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
            self._there.update(value.waiting, (grant.sequence for grant in value.grants))
            if value.after:
                self._ask(ledger, value.after)
                return
            if value.status is Status.OK and not ledger.expired:
                self._compare(ledger)
            self._reconnected = False
            self._session.results.look_again()
        self._polling = False
        if self._poll_again:
            self._poll_again = False
            self.poll()

    def _compare(self, ledger: Ledger) -> None:
        """What Redis has, and what it must have."""
        # An acquire may have been answered after the poll was sent, but ran before it.
        gone = (self._unseen & ledger.known) - self._there
        if self._reconnected:
            # Nobody has evicted them, as far as can be told: they wait again.
            self._session.requests.ask_again(ledger, gone)
            ledger.evicted(gone, "Redis has it no more")
        else:
            ledger.evicted(gone)
        # What has ended and has come back, or was refused and came twice: nobody else would end it.
        for sequence in sorted(s for s in self._there if not ledger.has(s)):
            self._session.requests.give_back(ledger, sequence)
        self._session.notice_idle()
