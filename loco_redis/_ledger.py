"""What one session has asked for, was given and holds: state only, no I/O."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING

from loco_redis._replies import Grant
from loco_redis.errors import EvictedError

if TYPE_CHECKING:
    from loco_redis._entry import Entry
    from loco_redis.lease import BaseLease

_ID_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_ID_LENGTH = 16


class Request:
    """An `acquire` on its way. `future` gets its Grant, or the error that ended it."""

    __slots__ = (
        "acknowledged",
        "agent",
        "agent_id",
        "claim",
        "entry",
        "future",
        "given",
        "ledger",
        "sequence",
        "timeout",
        "weight",
    )

    def __init__(
        self,
        future: asyncio.Future[Grant],
        agent_id: str,
        agent: bytes,
        weight: int | None,
        timeout: float | None,
        given: bytes = b"",
        claim: tuple[Ledger, int] | None = None,
    ) -> None:
        self.future, self.agent_id, self.agent = future, agent_id, agent
        self.weight, self.timeout, self.given = weight, timeout, given
        self.claim = claim  # the sequence to ask by the first time, minted by `Ledger.claim`
        self.ledger: Ledger | None = None  # None while no session is open to ask in
        self.sequence = 0
        self.entry: Entry | None = None
        self.acknowledged = False  # Redis has answered

    @property
    def refused(self) -> bool:
        """Whether it has ended by an error, and so is in Redis no more."""
        future = self.future
        return future.done() and not future.cancelled() and future.exception() is not None

    @property
    def serves_any(self) -> bool:
        """Whether it takes a task of any agent."""
        return not self.agent

    @property
    def tries_once(self) -> bool:
        """Whether it is content with Redis' first answer."""
        return self.timeout is not None and self.timeout <= 0

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Ledger:
    """The books of one session id; a session that expired is followed by another ledger.

    Attributes:
        floor: the lowest sequence whose reply has not been seen.
        seen: the highest token known.
        received: grants that have come in, to be compared with what Redis says it delivered.
        deadline: until this moment (time.monotonic) the session is certainly alive.
    """

    def __init__(self, seen: int = 0) -> None:
        self.session = "".join(secrets.choice(_ID_CHARACTERS) for _ in range(_ID_LENGTH))
        self.floor = 1
        self.seen = seen
        self.received = 0
        self.deadline = 0.0
        self.expired = False
        self.requests: dict[int, Request] = {}
        self.leases: dict[int, BaseLease] = {}
        self.entering: set[int] = set()  # granted, but not yet a lease
        self.ended: dict[int, str] = {}  # why it is lost before it has become one
        self.leaving: set[int] = set()  # being released or cancelled
        self.claimed: set[int] = (
            set()
        )  # somebody else asks first (orchestration/lua/pools/gather.lua)
        self._last = 0
        self._unanswered: dict[int, None] = {}  # in order of minting

    @property
    def uncertain(self) -> bool:
        """No heartbeat has got through for a whole lease: the session may have expired."""
        return time.monotonic() >= self.deadline

    def mint(self) -> int:
        """A new sequence; call `answered` when its reply is there, or will not be waited for."""
        self._last += 1
        self._unanswered[self._last] = None
        return self._last

    def claim(self) -> int:
        """A sequence by which another script acquires first; a poll leaves it alone."""
        sequence = self.mint()
        self.claimed.add(sequence)
        return sequence

    def answered(self, sequence: int) -> None:
        self._unanswered.pop(sequence, None)
        if sequence == self.floor:
            self.floor = next(iter(self._unanswered), self._last + 1)

    def take(self, grant: Grant) -> bool:
        """Hand a grant to its request. False: known already, or not wanted any more."""
        if grant.token > self.seen:
            self.seen = grant.token
        request = self.requests.pop(grant.sequence, None)
        if request is None:
            return False
        request.acknowledged = True
        self.entering.add(grant.sequence)
        if not request.future.done():
            request.future.set_result(grant)
        return True

    @property
    def idle(self) -> bool:
        """Nothing is held or about to be."""
        return not (self.leases or self.entering)

    @property
    def known(self) -> set[int]:
        """What Redis must have: requests it has acknowledged, and leases."""
        asked = {sequence for sequence, row in self.requests.items() if row.acknowledged}
        return asked | self.leases.keys() | self.entering

    def has(self, sequence: int) -> bool:
        """Whether Redis may have it: it has not ended."""
        live = (self.requests, self.leases, self.entering, self.leaving, self.claimed)
        return any(sequence in those for those in live)

    def evicted(self, sequences: set[int], why: str = "an operator took the slot back") -> None:
        """Others have ended these, as far as we have not done so ourselves meanwhile."""
        for sequence in sequences:
            if sequence in self.entering:
                self.ended[sequence] = why
            if (request := self.requests.pop(sequence, None)) is not None:
                request.fail(EvictedError(f"{self.session}:{sequence:012d}", request.agent_id))
            if (lease := self.leases.pop(sequence, None)) is not None:
                lease._lose(why)

    def expire(self, reason: str) -> list[Request]:
        """Everything is lost: tells the holders, returns the requests that still wait."""
        self.expired = True
        requests, leases = list(self.requests.values()), list(self.leases.values())
        self.requests.clear()
        self.leases.clear()
        self.entering.clear()
        for lease in leases:
            lease._lose(reason)
        return requests
