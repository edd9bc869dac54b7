"""Asking for slots and giving them back.

All of it is synchronous: it posts to the outbox and is called back with the reply, so a cancelled
caller leaves nothing half done.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from loco_redis import _log as decisions
from loco_redis._ledger import Ledger, Request
from loco_redis._replies import AcquireReply, GrantsReply, ReleaseReply, Status
from loco_redis.errors import (
    AcquireTimeoutError,
    BackendError,
    BackendUnavailableError,
    BackpressureError,
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
    ) -> Request:
        """Ask for a slot; `weight` None serves the agent's oldest durable task."""
        session = self._session
        request = Request(session.loop.create_future(), agent_id, agent, weight, timeout, given)
        if session.is_open:
            self._submit(request)
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
            request.fail(AcquireTimeoutError(name, request.agent_id, request.timeout))

    def release(self, lease: BaseLease, charge: bool) -> Released:
        """End a lease. It goes out whatever becomes of the caller, until Redis answers; the future
        gives up after backend_timeout with None."""
        session, ledger, sequence = self._session, lease._ledger, lease._grant.sequence
        session.unhold(ledger, sequence)
        future: Released = session.loop.create_future()
        command = session.scripts.release(
            session=ledger.session,
            floor=ledger.floor,
            seen=ledger.seen,
            sequence=sequence,
            token=lease.token,
            charge=charge,
            cell=_cell(lease),
            labels=attribution(lease._task),
        )
        done, late = partial(self._released, lease, future), partial(_give_up_on, future)
        session.outbox.post(command, done, session.backend_timeout, late)
        return future

    def park(self, requests: list[Request]) -> None:
        """Their session has expired: ask again in the next."""
        for request in requests:
            request.ledger, request.acknowledged = None, False
            self._parked[request] = None

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

    def _give_up(self, request: Request) -> None:
        if request in self._parked:
            del self._parked[request]
            request.fail(self._session.unavailable("no session could be opened"))

    def _submit(self, request: Request) -> None:
        session = self._session
        ledger = request.ledger = session.ledger
        sequence = request.sequence = ledger.mint()
        ledger.requests[sequence] = request
        command = session.scripts.acquire(
            session=ledger.session,
            floor=ledger.floor,
            seen=ledger.seen,
            sequence=sequence,
            agent=request.agent,
            weight=request.weight,
            given=request.given,
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
                # Whether it ran is unknown: cancelling it is right in either case.
                if isinstance(value, BackendUnavailableError):
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
            limit = self._session.config.max_waiters or 0
            self._refuse(request, ledger, BackpressureError(name, limit, limit))
        elif value.refusal is not None:
            self._refuse(request, ledger, error_of(value.refusal, request.agent_id))
        elif value.status is Status.FINISHED:
            self._refuse(request, ledger, BackendError(f"request {sequence} has ended before"))
        elif request.tries_once:
            self.time_out(request)

    def _refuse(self, request: Request, ledger: Ledger, error: Exception) -> None:
        ledger.requests.pop(request.sequence, None)
        request.fail(error)

    def _cancel(self, ledger: Ledger, sequence: int, is_late: bool) -> None:
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
        if not isinstance(value, Exception):
            decisions.released(lease, value, retried)
            self._session.grants.take(ledger, value.grants)
            if value.status is Status.EXPIRED:
                self._session.expire(ledger)
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
