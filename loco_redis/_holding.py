"""One passage through a slot: ask, wait, hold, leave. All public forms of acquire go this way."""

from __future__ import annotations

import inspect
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from loco_redis import _log as decisions
from loco_redis import _validate as validate
from loco_redis._ledger import Ledger, Request
from loco_redis._listeners import listeners, tell
from loco_redis._replies import Grant, Status
from loco_redis._requests import Released
from loco_redis.errors import (
    BackendError,
    NoTaskError,
    PolicyViolationError,
    ReentrantAcquireError,
)
from loco_redis.lease import BaseLease, held_here
from loco_redis.models import Task, decode_body, given

if TYPE_CHECKING:
    from loco_redis._session import Session
    from loco_redis.scheduler import AsyncLOCOScheduler

Nested = Literal["error", "share", "allow"]
Started = Callable[[Any], Awaitable[None] | None]
Completed = Callable[[Any, BaseException | None], Awaitable[None] | None]

_log = logging.getLogger("loco_redis")


class Wish(NamedTuple):
    """The validated arguments of an acquire; `weight` in thousandths, None = open."""

    agent_id: str
    agent: bytes
    task: Task | None
    weight: int | None
    timeout: float | None
    nested: Nested
    given: bytes
    claim: tuple[Ledger, int] | None = None
    serves_any: bool = False

    def as_task(self) -> Task:
        """What policies of the user's own look at."""
        return self.task or Task(weight=1.0 if self.weight is None else self.weight / 1000)

    @classmethod
    def of(
        cls,
        agent_id: str,
        task: Task | None,
        weight: float | None,
        timeout: float | None,
        nested: Nested,
    ) -> Wish:
        """Raises ValueError for bad arguments."""
        agent = validate.agent_id(agent_id)
        if task is not None:
            if not isinstance(task, Task):
                raise ValueError(f"task must be a Task, got {validate.shown(task)}")
            if weight is not None:
                raise ValueError("both a task and a weight: the task has one")
            weight = task.weight
        if timeout is not None and not (
            isinstance(timeout, int | float)
            and not isinstance(timeout, bool)
            and timeout == timeout
        ):
            raise ValueError(
                f"timeout must be a number of seconds or None, got {validate.shown(timeout)}"
            )
        if nested not in ("error", "share", "allow"):
            raise ValueError(
                f"nested must be 'error', 'share' or 'allow', got {validate.shown(nested)}"
            )
        units = None if weight is None else validate.weight(weight)
        limit = None if timeout == math.inf else timeout
        return cls(agent_id, agent, task, units, limit, nested, given(task))

    @classmethod
    def any_task(cls, timeout: float | None, nested: Nested) -> Wish:
        """For a durable task of whichever agent comes first."""
        wish = cls.of("any", None, None, timeout, nested)
        return wish._replace(agent_id="", agent=b"", serves_any=True)


class Holding:
    """`enter` yields a lease, `leave` gives it back; each once.

    Attributes:
        lease: what is held; None before.
        shared: the lease is an outer one, which is not ours to give back.
        left: whether `leave` has been called.
    """

    def __init__(
        self,
        scheduler: AsyncLOCOScheduler,
        wish: Wish,
        make_lease: Callable[..., BaseLease],
    ) -> None:
        self._scheduler, self._wish, self._make_lease = scheduler, wish, make_lease
        self.left = False
        self._unreadable: ValueError | None = None
        self.lease: BaseLease | None = None
        self.shared = False

    async def enter(self) -> BaseLease:
        """Wait for a slot and take it. Whatever is raised, nothing is held then."""
        wish = self._wish
        session = await self._scheduler._use()
        if wish.nested != "allow" and (outer := held_here(session)) is not None:
            if wish.nested == "error":
                raise ReentrantAcquireError(session.name)
            self.lease, self.shared = outer, True
            return outer
        if (enforcer := self._scheduler.enforcer) is not None and not wish.serves_any:
            try:
                await enforcer.check_custom(wish.agent_id, wish.as_task())
            except PolicyViolationError as error:
                decisions.refused(session.name, wish.agent_id, error)
                raise
        started = time.monotonic()
        while True:
            request = session.requests.acquire(
                wish.agent_id, wish.agent, wish.weight, wish.timeout, wish.given, wish.claim
            )
            grant, task = await self._granted(session, request, started)
            ledger = request.ledger
            if ledger is not None and not ledger.expired:
                break
            session = await self._scheduler._use()  # its session expired this very moment
        waited = time.monotonic() - started
        agent_id = wish.agent_id if grant.agent is None else grant.agent.decode()
        lease = self._make_lease(session, ledger, grant, agent_id, task, waited)
        self.lease = lease
        session.hold(lease)
        if self._unreadable is not None:
            await self.leave(self._unreadable)
            raise self._unreadable
        if listeners:
            tell("granted", lease)
        decisions.granted(lease, request)
        if "e" in grant.flags:
            _log.warning("agent %r is over its budget of %r", agent_id, session.name)
        if (callback := self._scheduler._on_started) is not None:
            try:
                await _notify(callback, lease)
            except BaseException as error:
                await self.leave(error, begun=False)
                raise
        return lease

    async def leave(self, error: BaseException | None, begun: bool = True) -> None:
        """Release, `error` being how the body ended. It goes out even if this is cancelled. One
        that has not `begun` gives the grant back, and a durable task with it."""
        lease = self.lease
        if lease is None or self.left:
            return
        self.left = True
        is_own = self._wish.serves_any and not self.shared
        if is_own and lease._outcome is None and error is not None:
            lease._failed(error)
        if self.shared or self._scheduler._guard.forked:  # a forked child has nothing to give back
            return
        released = None
        if lease._end():
            requests = lease._session.requests
            if begun:
                went_well = error is None and (lease._outcome is None or lease._outcome.kind == "c")
                released = requests.release(lease, charge=went_well)
            else:
                requests.unused(lease)
        if listeners:
            tell("ended", lease, error)
        if (callback := self._scheduler._on_completed) is not None:
            await _notify(callback, lease, error)
        if (enforcer := self._scheduler.enforcer) is not None and error is None:
            await enforcer.record_all(lease.agent_id, lease.task)
        if released is not None:
            await _confirm(lease, released)

    async def _granted(
        self, session: Session, request: Request, started: float
    ) -> tuple[Grant, Task | None]:
        wish, timer = self._wish, None
        if wish.timeout is not None and not request.tries_once:
            left = started + wish.timeout - time.monotonic()
            timer = session.loop.call_later(left, session.requests.time_out, request)
        try:
            grant = await request.future
            task = wish.task
            if grant.task_id is not None:
                task = await self._durable(session, grant, grant.task_id)
        except BaseException as error:
            if not request.refused:
                session.requests.withdraw(request)
            if not isinstance(error, NoTaskError):
                decisions.refused(session.name, wish.agent_id, error, request)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        return grant, task

    async def _durable(self, session: Session, grant: Grant, task_id: str) -> Task:
        """One that cannot be read has failed, where any may be served: it must not come again and
        again."""
        try:
            return await _read(session, grant, task_id)
        except ValueError as error:
            if not self._wish.serves_any:
                raise
            self._unreadable = error
            return Task(weight=grant.weight, task_id=task_id, attempt=grant.attempt)


async def _read(session: Session, grant: Grant, task_id: str) -> Task:
    task = Task(weight=grant.weight, task_id=task_id, attempt=grant.attempt)
    if not grant.has_body:
        return task
    key = session.scripts.keys.bodies
    body = (await session.outbox.send_raw(session.backend_timeout, "HGET", key, task_id)).reply
    # Without a body the lease is gone, too: the heartbeat will say so.
    return decode_body(body or b"", task)


async def _confirm(lease: BaseLease, released: Released) -> None:
    """Wait until Redis has said that the slot is free."""
    try:
        reply = await released
    except BackendError as error:
        _log.warning("%r could not be released: %s", lease, error)
        return
    if reply is None:
        _log.warning("not confirmed yet, the release goes on: %r", lease)
    elif reply.status is Status.EXPIRED:
        # FINISHED is the answer to a repeat, or an operator took the slot a moment ago.
        lease._was_gone("its session expired")


async def _notify(callback: Callable[..., Awaitable[None] | None], *args: object) -> None:
    """Call a user's callback; what it raises is logged and breaks nothing."""
    try:
        result = callback(*args)
        if inspect.isawaitable(result):
            await result
    except Exception:  # noqa: BLE001  it is the user's, and may raise anything
        _log.exception("a callback raised")
