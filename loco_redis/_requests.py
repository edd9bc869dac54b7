"""Asking for slots and giving them back.

All of it is synchronous: it posts to the outbox and is called back with the reply, so a cancelled
caller leaves nothing half done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from loco_redis import _log as decisions
from loco_redis._ledger import Ledger, Request
from loco_redis._limits import LIMITS
from loco_redis._replies import (
    AcquireReply,
    CompleteReply,
    Grant,
    GrantsReply,
    ReleaseReply,
    Status,
)
from loco_redis._scripts import rid
from loco_redis.errors import (
    AcquireTimeoutError,
    BackpressureError,
    EvictedError,
    NoTaskError,
    ShutdownError,
)
from loco_redis.governance._refusals import error_of
from loco_redis.lease import BaseLease
from loco_redis.models import attribution

if TYPE_CHECKING:
    from loco_redis._session import Session

_OCTAVES = tuple(f"{octave:02d}" for octave in range(100))

Released = asyncio.Future[ReleaseReply | None]


class Requests:
    """The acquires and releases of one scheduler; what is asked while no session is open is kept
    until one is."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._parked: dict[Request, None] = {}
        decisions.install()

    def acquire(
        self,
        agent_id: str,
        agent: bytes,
        weight: int | None,
        timeout: float | None,
        given: bytes = b"",
        claim: tuple[Ledger, int] | None = None,
    ) -> Request:
        """Ask for a slot; `weight` None serves the agent's oldest durable task, no agent that of
        whichever comes first."""
        session = self._session
        future: asyncio.Future[Grant] = session.loop.create_future()
        request = Request(future, agent_id, agent, weight, timeout, given, claim)
        if session.is_open:
            self._submit(request)
        elif session.is_closing:
            request.fail(ShutdownError(session.name))
        elif session.unopenable is not None:
            request.fail(session.unopenable)
        else:
            self._parked[request] = None
            session.loop.call_later(session.backend_timeout, self._give_up, request)
        return request

    def withdraw(self, request: Request, is_late: bool = False) -> None:
        """The caller wants it no more, or its time is up (`is_late`): whatever it has or gets in
        Redis is given back."""
        ledger = request.ledger
        if ledger is None:
            self._parked.pop(request, None)
            return
        ledger.requests.pop(request.sequence, None)
        self._session.unhold(ledger, request.sequence)
        if ledger.expired:
            return
        if request.entry is not None and self._session.outbox.drop(request.entry):
            ledger.answered(request.sequence)
        else:
            self._cancel(ledger, request.sequence, is_late)

    def time_out(self, request: Request) -> None:
        """The caller's time is up."""
        if request.future.done():
            return
        self.withdraw(request, is_late=True)
        if self._session.outbox.failure is not None and not request.acknowledged:
            request.fail(self._session.unavailable("no reply in time"))
        else:
            assert request.timeout is not None
            name = self._session.name
            error = NoTaskError if request.serves_any else AcquireTimeoutError
            request.fail(error(name, request.agent_id, request.timeout))

    def release(self, lease: BaseLease, charge: bool) -> Released:
        """End a lease. It goes out whatever becomes of the caller, until Redis answers; the future
        gives up after backend_timeout with None."""
        session, ledger, sequence = self._session, lease._ledger, lease._grant.sequence
        session.unhold(ledger, sequence)
        ledger.leaving.add(sequence)
        future: Released = session.loop.create_future()
        call: dict[str, Any] = {
            "session": ledger.session,
            "floor": ledger.floor,
            "seen": ledger.seen,
            "sequence": sequence,
            "token": lease.token,
            "charge": charge,
            "cell": _cell(lease),
            "labels": attribution(lease._task),
        }
        command: Any
        if (end := lease._outcome) is None:
            command = session.scripts.release(**call)
        else:
            command = session.scripts.complete(
                **call, outcome=end.kind, value=end.value, delay=end.delay
            )
        done, late = partial(self._released, lease, future), partial(_give_up_on, future)
        session.outbox.post(command, done, session.backend_timeout, late)
        return future

    def unused(self, lease: BaseLease) -> None:
        """No body has begun on it: what it was granted for is as if it had not been."""
        ledger, sequence = lease._ledger, lease._grant.sequence
        self._session.unhold(ledger, sequence)
        self.give_back(ledger, sequence)

    def park(self, requests: list[Request]) -> None:
        """Their session has expired: ask again in the next."""
        for request in requests:
            request.ledger, request.acknowledged = None, False
            self._parked[request] = None

    def ask_again(self, ledger: Ledger, sequences: Iterable[int]) -> None:
        """Redis has forgotten these: those that wait ask anew."""
        for sequence in sorted(ledger.requests.keys() & sequences):
            request = ledger.requests.pop(sequence)
            request.acknowledged = False
            self._submit(request)

    def give_back(self, ledger: Ledger, sequence: int) -> None:
        """Redis has this, and nobody here wants it (any more)."""
        self._cancel(ledger, sequence, is_late=False)

    def resume(self) -> None:
        """A session is open."""
        parked, self._parked = self._parked, {}
        for request in parked:
            self._submit(request)

    def shut_down(self) -> int:
        """Withdraw all who wait, by a ShutdownError; returns how many there were."""
        waiting = [*self._parked, *self._session.ledger.requests.values()]
        for request in waiting:
            self.withdraw(request)
            request.fail(ShutdownError(self._session.name))
        return len(waiting)

    def fail_parked(self, error: Exception) -> None:
        """No session will ever open."""
        parked, self._parked = self._parked, {}
        for request in parked:
            request.fail(error)

    def fail_waiting(self, error: Exception) -> None:
        """Who waits in Redis waits no more; withdrawn as soon as that can be."""
        for request in [*self._session.ledger.requests.values()]:
            if request.acknowledged:
                self.withdraw(request)
                request.fail(error)

    def _give_up(self, request: Request) -> None:
        if request in self._parked:
            del self._parked[request]
            request.fail(self._session.unavailable("no session could be opened"))

    def _submit(self, request: Request) -> None:
        session = self._session
        ledger = request.ledger = session.ledger
        claim, request.claim = request.claim, None
        sequence = request.sequence = (
            claim[1] if claim is not None and claim[0] is ledger else ledger.mint()
        )
        ledger.requests[sequence] = request
        ledger.claimed.discard(sequence)
        call: dict[str, Any] = {
            "session": ledger.session,
            "floor": ledger.floor,
            "seen": ledger.seen,
            "sequence": sequence,
        }
        if request.serves_any:
            command = session.scripts.serve(**call)
        else:
            command = session.scripts.acquire(
                **call, agent=request.agent, weight=request.weight, given=request.given
            )
        done = partial(self._acquired, request, ledger, sequence)
        patience = session.backend_timeout if request.tries_once else request.timeout
        if patience is None:
            patience = session.backend_timeout
        request.entry = session.outbox.post(command, done, patience)

    def _acquired(
        self,
        request: Request,
        ledger: Ledger,
        sequence: int,
        value: AcquireReply | Exception,
        retried: bool,
    ) -> None:
        ledger.answered(sequence)
        if isinstance(value, Exception):
            if sequence in ledger.requests:
                # Whether it ran may be unknown: cancelling it is right in either case.
                self.withdraw(request)
                self._refuse(request, ledger, value)
            return
        decisions.enqueued(request, self._session.name, value, retried)
        self._session.grants.take(ledger, value.grants)
        if value.status is Status.EXPIRED:
            self._session.expire(ledger)
        if sequence not in ledger.requests:
            return
        request.acknowledged = True
        self._session.waker.at(value.wake)
        name = self._session.name
        if value.status is Status.BACKPRESSURE:
            most = self._session.config.max_waiters
            limit = LIMITS.waiters if most is None else min(most, LIMITS.waiters)
            self._refuse(request, ledger, BackpressureError(name, limit, limit))
        elif value.refusal is not None:
            self._refuse(request, ledger, error_of(value.refusal, request.agent_id))
        elif value.status is Status.FINISHED:
            # What an operator ended, and neither hint nor poll has told us of it yet.
            ident = rid(ledger.session, sequence)
            self._refuse(request, ledger, EvictedError(ident, request.agent_id))
        elif request.tries_once:
            self.time_out(request)

    def _refuse(self, request: Request, ledger: Ledger, error: Exception) -> None:
        ledger.requests.pop(request.sequence, None)
        request.fail(error)

    def _cancel(self, ledger: Ledger, sequence: int, is_late: bool) -> None:
        ledger.leaving.add(sequence)
        command = self._session.scripts.cancel(
            session=ledger.session,
            floor=ledger.floor,
            seen=ledger.seen,
            sequence=sequence,
            is_late=is_late,
        )
        self._session.outbox.post(command, partial(self._cancelled, ledger, sequence))

    def _cancelled(
        self, ledger: Ledger, sequence: int, value: GrantsReply | Exception, retried: bool
    ) -> None:
        # From here on the floor refuses what the tombstone refused.
        ledger.answered(sequence)
        ledger.leaving.discard(sequence)
        if not isinstance(value, Exception):
            self._session.grants.take(ledger, value.grants)
            if value.status is Status.EXPIRED:
                self._session.expire(ledger)

    def _released(
        self,
        lease: BaseLease,
        future: Released,
        value: ReleaseReply | Exception,
        retried: bool,
    ) -> None:
        ledger = lease._ledger
        ledger.leaving.discard(lease._grant.sequence)
        if not isinstance(value, Exception):
            decisions.released(lease, value, retried)
            self._session.grants.take(ledger, value.grants)
            if value.status is Status.EXPIRED:
                self._session.expire(ledger)
            if isinstance(value, CompleteReply):
                self._session.waker.at(value.wake, is_own=True)
        if future.done():  # the caller has not waited for it
            return
        if isinstance(value, Exception):
            future.set_exception(value)
        else:
            future.set_result(value)


def _cell(lease: BaseLease) -> str:
    """Where its wait belongs in the histograms: octaves of ticks and of microseconds."""
    ticks, waited = lease._grant.waited_ticks, int(lease._waited * 1e6)
    return _OCTAVES[ticks.bit_length()] + _OCTAVES[waited.bit_length()]


def _give_up_on(future: Released) -> None:
    if not future.done():
        future.set_result(None)
