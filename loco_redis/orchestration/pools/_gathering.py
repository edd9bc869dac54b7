"""One request for several resources of a group: it has all of them, or none and a place in line."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from loco_redis import _log as decisions
from loco_redis._holding import Wish
from loco_redis._ledger import Ledger
from loco_redis._replies import AcquireReply, Status
from loco_redis._scripts import Argument, Command
from loco_redis._session import Session
from loco_redis.errors import (
    AcquireTimeoutError,
    BackendUnavailableError,
    ReentrantAcquireError,
    ShutdownError,
)
from loco_redis.governance._refusals import error_of
from loco_redis.lease import held_here
from loco_redis.orchestration.pools._line import PERIODS_TO_LIVE, Line

if TYPE_CHECKING:
    from loco_redis.scheduler import AsyncLOCOScheduler

HAS_ALL, WAITS, REFUSED = 1, 2, 3  # outcomes of gather.lua

_PERIOD = 0.5  # seconds after which a waiter that was not told asks again
_PAUSE = 0.1
_PER_SECOND = 100  # but no more than so many waiters of a line in a second
_ALPHA = 0.25


class Claim(NamedTuple):
    """A slot that gather takes for a request id; the core's own `acquire` asks by the same id."""

    session: Session
    ledger: Ledger
    sequence: int

    def drop(self) -> None:
        """Give back what Redis may have of it, if nobody has asked by it meanwhile."""
        if self.sequence not in self.ledger.claimed:
            return
        self.ledger.claimed.discard(self.sequence)
        if self.ledger.expired or self.session.is_closing:
            self.ledger.answered(self.sequence)
        else:
            self.session.requests.give_back(self.ledger, self.sequence)

    def end(self) -> None:
        """Redis has nothing of it any more."""
        self.ledger.claimed.discard(self.sequence)
        self.ledger.answered(self.sequence)


class Gathering:
    """Waits in the line of a group. `claims` yields what was taken, `leave` it at the end."""

    def __init__(
        self,
        line: Line,
        schedulers: Sequence[AsyncLOCOScheduler],
        wish: Wish,
        deadline: float | None,
    ) -> None:
        self._line, self._schedulers, self._wish = line, schedulers, wish
        self._deadline = deadline
        self._names = ",".join(scheduler.name for scheduler in schedulers)
        self._number, self._id = line.join()
        self._told = line.waiting[self._number]
        self._place = b""
        self._period = _PERIOD
        self._stands = False

    def leave(self) -> None:
        self._line.leave(self._number, self._stands)

    async def claims(self) -> list[Claim]:
        """All slots at once. Raises AcquireTimeoutError, ShutdownError, ReentrantAcquireError, what
        a refusal means, BackendError; nothing is held then."""
        while True:
            self._told.clear()
            if self._line.closing:
                raise ShutdownError(self._names)
            sessions = await self._sessions()
            claims = [Claim(each, each.ledger, each.ledger.claim()) for each in sessions]
            try:
                outcome = await self._ask(claims)
            except BaseException as error:
                for claim in claims:
                    claim.drop()
                if isinstance(error, BackendUnavailableError) and self._is_late:
                    raise self._timeout() from error
                raise
            if outcome == HAS_ALL:
                self._stands = False
                return claims
            for claim in claims:
                claim.end()
            if outcome == WAITS:
                self._stands = True
                await self._wait()

    async def pause(self) -> None:
        """Before asking again for what was had and lost. Raises AcquireTimeoutError."""
        if self._is_late:
            raise self._timeout()
        await asyncio.sleep(random.uniform(0.5, 1.0) * _PAUSE)

    async def _sessions(self) -> list[Session]:
        sessions = await asyncio.gather(*(each._use() for each in self._schedulers))
        for session in sessions:
            if held_here(session) is not None:
                raise ReentrantAcquireError(session.name)
            try:
                async with asyncio.timeout(self._left):
                    await session.until_open()
            except TimeoutError:
                raise self._timeout() from None
        return sessions

    async def _ask(self, claims: list[Claim]) -> int:
        acquires = [self._acquire(claim) for claim in claims]
        cancels = [_cancel(claim) for claim in claims]
        keys = [key for claim in claims for key in claim.session.scripts.keys.all]
        args: list[Argument] = [
            self._id,
            int(PERIODS_TO_LIVE * self._period * 1e6),
            self._wish.agent,
            self._units,
            format(self._alpha, ".17g"),
            0 if self._tries_once else 1,
            self._place,
            self._names,
            len(keys) // len(claims),
            len(acquires[0].args),
            len(cancels[0].args),
        ]
        for acquire, cancel in zip(acquires, cancels, strict=True):
            args += (*acquire.args, *cancel.args)
        patience = claims[0].session.backend_timeout
        if self._left is not None and not self._tries_once:
            patience = min(patience, self._left)
        # What is sent may run: from here on it may stand in the line.
        self._stands = not self._tries_once
        try:
            async with asyncio.timeout(patience):
                outcome, calls, rest = await self._line.gather(self._number, keys, args, patience)
        except TimeoutError:
            where = self._schedulers[0].url
            raise BackendUnavailableError(where, "no reply in time") from None
        last = self._take(claims, acquires, cancels, calls)
        if outcome == WAITS:
            fields, self._place = rest
            self._period = max(_PERIOD, self._line.length(fields) / _PER_SECOND)
        elif outcome == REFUSED and last is not None:
            self._refused(claims[rest[0] - 1], last)
        return outcome

    def _take(
        self,
        claims: list[Claim],
        acquires: list[Command[AcquireReply]],
        cancels: list[Command[Any]],
        calls: list[Any],
    ) -> AcquireReply | None:
        """What the core's scripts have said: grants to others of our sessions came with it. Returns
        the last answer to an acquire."""
        last = None
        for number, is_cancel, raw in calls:
            session, ledger, _ = claims[number - 1]
            reply = (cancels if is_cancel else acquires)[number - 1].decode(raw)
            session.grants.take(ledger, reply.grants)
            if isinstance(reply, AcquireReply):
                session.waker.at(reply.wake)
                last = reply
        return last

    def _refused(self, claim: Claim, reply: AcquireReply) -> None:
        """Raises what a policy means; an expired session is opened anew, a request that is known
        to be over gets a new id."""
        if reply.status is Status.EXPIRED:
            claim.session.expire(claim.ledger)
        if reply.refusal is not None:
            error = error_of(reply.refusal, self._wish.agent_id)
            decisions.refused(claim.session.name, self._wish.agent_id, error)
            raise error

    async def _wait(self) -> None:
        """Until it is told, or for about a period."""
        if self._is_late:
            raise self._timeout()
        self._line.listen()
        pause = self._period * random.uniform(0.75, 1.25)
        left = self._left
        try:
            async with asyncio.timeout(pause if left is None else min(pause, left)):
                await self._told.wait()
        except TimeoutError:
            if self._is_late:
                raise self._timeout() from None

    def _acquire(self, claim: Claim) -> Command[AcquireReply]:
        session, ledger, sequence = claim
        return session.scripts.acquire(
            session=ledger.session,
            floor=ledger.floor,
            seen=ledger.seen,
            sequence=sequence,
            agent=self._wish.agent,
            weight=self._wish.weight,
            given=self._wish.given,
        )

    @property
    def _units(self) -> int:
        assert self._wish.weight is not None
        return self._wish.weight

    @property
    def _alpha(self) -> float:
        """Of whoever comes first; it holds for all until the line is empty."""
        stored = self._schedulers[0]._session
        return stored.config.alpha if stored is not None else _ALPHA

    @property
    def _tries_once(self) -> bool:
        return self._wish.timeout is not None and self._wish.timeout <= 0

    @property
    def _left(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    @property
    def _is_late(self) -> bool:
        return self._left is not None and self._left <= 0

    def _timeout(self) -> AcquireTimeoutError:
        timeout = self._wish.timeout
        assert timeout is not None
        return AcquireTimeoutError(self._names, self._wish.agent_id, timeout)


def _cancel(claim: Claim) -> Command[Any]:
    session, ledger, sequence = claim
    return session.scripts.cancel(
        session=ledger.session, floor=ledger.floor, seen=ledger.seen, sequence=sequence
    )
