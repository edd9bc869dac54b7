"""What a holder sees: its slot, its token, its task; whether it still holds them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from typing import TYPE_CHECKING, Any

from loco_redis import _validate as validate
from loco_redis._ledger import Ledger
from loco_redis._listeners import listeners, tell
from loco_redis._orders import Outcome, done, failed, put_off
from loco_redis._replies import Grant, Status
from loco_redis._scripts import rid
from loco_redis.backoff import Backoff
from loco_redis.errors import LeaseLostError
from loco_redis.models import Task, attribution

if TYPE_CHECKING:
    from loco_redis._session import Session


class _State(Enum):
    HELD = "held"
    RELEASED = "released"
    LOST = "lost"


class BaseLease:
    """A granted slot; all but its state is fixed."""

    __slots__ = (
        "_agent_id",
        "_body",
        "_cancelling",
        "_grant",
        "_interruption",
        "_ledger",
        "_outcome",
        "_reason",
        "_session",
        "_spent",
        "_state",
        "_task",
        "_waited",
    )

    def __init__(
        self,
        session: Session,
        ledger: Ledger,
        grant: Grant,
        agent_id: str,
        task: Task | None,
        waited: float,
    ) -> None:
        self._session, self._ledger, self._grant = session, ledger, grant
        self._agent_id, self._task, self._waited = agent_id, task, waited
        self._state = _State.HELD
        self._reason = ""
        self._body: asyncio.Task[Any] | None = None  # what to cancel when the lease is lost
        self._cancelling = 0
        self._interruption = ""  # why the body was cancelled by us
        self._outcome: Outcome | None = None  # of its durable task, where that is not just done
        self._spent = (0.0, 0)  # cost and tokens of the calls that adapters made inside it

    def __repr__(self) -> str:
        state = "uncertain" if self.uncertain else self._state.value
        return (
            f"<{type(self).__name__} {self.name} slot={self.slot} token={self.token} "
            f"agent={self.agent_id!r} {state}>"
        )

    @property
    def name(self) -> str:
        """Of the resource."""
        return self._session.name

    @property
    def agent_id(self) -> str:
        return self._agent_id

    @property
    def slot(self) -> int:
        """Index of the slot, 0 to capacity - 1. Fence per slot: N holders are valid at once."""
        return self._grant.slot

    @property
    def token(self) -> int:
        """The fencing token: higher than that of every lease granted before."""
        return self._grant.token

    @property
    def task(self) -> Task:
        """The task given to `acquire`, the durable task served, or an implicit one."""
        if self._task is None:
            self._task = Task(weight=self._grant.weight)
        return self._task

    @property
    def request_id(self) -> str:
        return rid(self._ledger.session, self._grant.sequence)

    @property
    def waited_ticks(self) -> int:
        """Age of the task at the grant: releases of this resource while it was queued."""
        return self._grant.waited_ticks

    @property
    def waited(self) -> float:
        """Seconds from asking to holding, by this process' clock."""
        return self._waited

    @property
    def score(self) -> float:
        """L(i) of the agent at the grant."""
        return self._grant.score

    @property
    def downgraded(self) -> bool:
        """The agent is over its budget, which is in mode "downgrade": choose a cheaper model."""
        return "d" in self._grant.flags

    @property
    def over_budget(self) -> bool:
        """The task was let in although the agent's budget is used up ("alert" or "downgrade")."""
        return "d" in self._grant.flags or "e" in self._grant.flags

    @property
    def lost(self) -> bool:
        """Redis has taken the slot back; somebody else may hold it now."""
        return self._state is _State.LOST

    @property
    def uncertain(self) -> bool:
        """No heartbeat has got through for a whole lease: the slot may have been taken back."""
        return self._state is _State.HELD and self._ledger.uncertain

    @property
    def _is_late(self) -> bool:
        """With strict=True a body must not begin any more."""
        return self._session.strict and self.uncertain

    @property
    def released(self) -> bool:
        return self._state is _State.RELEASED

    def complete(self, value: Any = None) -> None:
        """The durable task is done when this lease ends, with this result: a JSON value or bytes,
        up to 1 MiB, kept for the task's `result_ttl`. Nothing goes to Redis before that.

        Raises:
            ValueError: a value that is neither, or too large.
            RuntimeError: the lease has been released, or serves no durable task.
        """
        self._must_serve("complete")
        self._outcome = done(value)

    def fail(self, error: BaseException | str, retry_in: float | None = None) -> None:
        """The durable task has failed. When this lease ends it is put back, for `retry_in` seconds
        from then (None: by its back-off), or is dead if it has used up its attempts.

        Raises:
            ValueError: `retry_in` is no number of seconds from 0 to ten years.
            RuntimeError: as of `complete`.
        """
        self._must_serve("fail")
        if retry_in is None:
            retry_in = (self.task.backoff or Backoff()).delay(self.task.attempt)
        self._outcome = failed(error, retry_in)

    def _failed(self, error: BaseException) -> None:
        """The body of `serve` has raised. One that was cancelled is not to blame: whoever serves
        the task next has all of its attempts left."""
        if self._grant.task_id is not None:
            if isinstance(error, Exception):
                self.fail(error)
            else:
                self._outcome = put_off()

    def _put_off(self, delay: float) -> None:
        """Nobody here can serve it: somebody else may, after so many seconds."""
        self._must_serve("put off")
        self._outcome = put_off(delay)

    def _must_serve(self, what: str) -> None:
        if self.released:
            raise RuntimeError(f"the lease has been released: {what} its task before")
        if self._grant.task_id is None:
            raise RuntimeError(f"this lease serves no durable task: there is nothing to {what}")

    async def _settle(self, cost: float, tokens: int | None) -> None:
        units = validate.cost(cost)
        validate.whole("tokens", tokens, 0)
        if self.released:
            raise RuntimeError("the lease has been released: settle its cost before")
        session, ledger = self._session, self._ledger
        command = session.scripts.settle(
            session=ledger.session,
            sequence=self._grant.sequence,
            token=self.token,
            cost=units,
            tokens=tokens,
            labels=attribution(self._task),
        )
        reply, retried = await session.outbox.send(command, session.backend_timeout)
        # A late settlement that was sent twice finds nothing the second time.
        if reply.status not in (Status.OK, Status.LATE) and not retried:
            raise LeaseLostError(self.name, self.token)
        if listeners:
            tell("settled", self, cost, tokens)

    async def _throttled(self, retry_after: float) -> None:
        pause = round(validate.seconds("retry_after", retry_after, 0, 86_400) * 1e6)
        session = self._session
        await session.once(session.scripts.throttle, token=self.token, pause=pause)

    def _watch(self, body: asyncio.Task[Any]) -> None:
        """`body` is to be cancelled when the lease is lost."""
        self._body, self._cancelling = body, body.cancelling()

    def _lose(self, reason: str) -> None:
        if self._state is _State.HELD:
            self._state, self._reason = _State.LOST, reason
            self._session.on_lost(self)

    def _end(self) -> bool:
        """The body has left: True when there is something to release."""
        self._body = None
        if self._state is not _State.HELD:
            return False
        self._state = _State.RELEASED
        return True

    def _was_gone(self, reason: str) -> None:
        """The release found nothing to release."""
        self._state, self._reason = _State.LOST, reason

    def _interrupt(self, reason: str) -> None:
        """Cancel the body, once; unless it is the body itself that closes the scheduler."""
        body = self._body
        if body is not None and not self._interruption and body is not asyncio.current_task():
            self._interruption = reason
            body.cancel(f"the lease of {self.name!r} was lost: {reason}")

    def _error(self) -> LeaseLostError:
        return LeaseLostError(self.name, self.token, self._reason or self._interruption)


class Lease(BaseLease):
    """What `AsyncLOCOScheduler.acquire` yields."""

    __slots__ = ()

    async def settle(self, cost: float, tokens: int | None = None) -> None:
        """Say what the work really cost (0 to 1e12); it replaces the weight, and an earlier call.
        `tokens` correct the estimate that was counted against the resource's `tpm`.

        Raises:
            ValueError: a cost out of range.
            RuntimeError: the lease has been released.
            LeaseLostError: it was lost, and Redis has no record of it any more. (One that Redis
                remembers is settled late, once.)
        """
        await self._settle(cost, tokens)

    async def throttled(self, retry_after: float = 1.0) -> None:
        """The provider said that it is too much (HTTP 429, 529): no process of the fleet is granted
        for `retry_after` seconds; with `adaptive_capacity` fewer hold slots at once afterwards.

        Raises:
            ValueError: not a number of seconds from 0 to 86,400.
        """
        await self._throttled(retry_after)


#: The leases held in this context; child tasks inherit it.
_held: ContextVar[tuple[BaseLease, ...]] = ContextVar("loco_redis_held", default=())
# A forked child holds nothing of what its parent holds, and may acquire in a scheduler of its own.
os.register_at_fork(after_in_child=lambda: _held.set(()))


def held_here(session: Session) -> BaseLease | None:
    """The innermost lease of this session's resource that this context holds."""
    for lease in reversed(_held.get()):
        theirs = lease._session
        same = theirs is session or (theirs.name, theirs.where) == (session.name, session.where)
        if same and lease._state is _State.HELD:
            return lease
    return None


def enter_context(lease: BaseLease) -> None:
    outer = _held.get()
    if outer:
        outer = tuple(held for held in outer if held._state is _State.HELD)
    _held.set((*outer, lease))
    if listeners:
        tell("entered", lease)


def leave_context(lease: BaseLease) -> None:
    if listeners:
        tell("left", lease)
    held = _held.get()
    _held.set(() if held == (lease,) else tuple(other for other in held if other is not lease))


@contextmanager
def in_context(lease: BaseLease) -> Iterator[None]:
    """For a part of the time that the lease is held."""
    enter_context(lease)
    try:
        yield
    finally:
        leave_context(lease)
