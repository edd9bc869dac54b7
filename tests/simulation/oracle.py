"""What must hold in a simulated run, watched from outside: by the server's state, and by what the
bodies of the callers do and what the callers get."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loco_redis import errors
from loco_redis.testing import invariants, ops
from loco_redis.testing.model import Outcome
from tests.simulation.clock import BEGIN
from tests.simulation.verdict import Failure, Verdict
from tests.simulation.watch import SLACK, StateWatch

if TYPE_CHECKING:
    from loco_redis.lease import Lease
    from tests.simulation.callers import Caller
    from tests.simulation.process import Process
    from tests.simulation.world import World


@dataclass(slots=True)
class Body:
    """A body that runs, or has run, in a slot."""

    process: Process
    lease: Lease
    rid: str
    slot: int
    token: int
    began: float
    orphaned: float | None = None  # since when the server has known nothing of its lease


class Oracle:
    """Told of everything.

    Attributes:
        seen: what callers got, and other figures.
        evicted, cancelled_tasks: what operators and callers have ended.
    """

    def __init__(self, world: World) -> None:
        self.world, self.plan, self.clock = world, world.plan, world.clock
        self.verdict = Verdict(world.clock, world.trace)
        self.fail, self.tell = self.verdict.fail, self.verdict.tell
        self.seen: Counter[str] = Counter()
        self.watch = StateWatch(world, self.verdict, self.seen)
        self.evicted: set[str] = set()
        self.cancelled_tasks: set[str] = set()
        self._bodies: list[Body] = []
        self._begun: set[int] = set()
        self._highest: dict[int, int] = {}  # the fenced resource: by slot
        self._served: set[str] = set()
        self._submitted: set[str] = set()
        self._done: dict[str, float] = {}  # since when the server has the result of a task

    @property
    def failure(self) -> Failure | None:
        return self.verdict.failure

    def stepped(self, origin: Process, op: ops.Op, outcome: Outcome) -> None:
        """A script has run."""
        self.watch.stepped(origin, op, outcome)
        for task, order in self.world.server.state.orders.items():
            if order.result is not None:
                self._done.setdefault(task, self.clock.now)
        self._audit()

    def _audit(self) -> None:
        """Those who hold and those who run are the same, but for a while after a trouble."""
        now = self.clock.now
        for body in self._bodies:
            if self._holds(body) or body.lease.lost:
                body.orphaned = None
                continue
            if body.orphaned is None:
                body.orphaned = now
                if not self._may_lose(body):
                    self.fail("live holder reclaimed", f"{body.process} token {body.token}")
            process = body.process
            since = max(body.orphaned, process.trouble_ends, process.turns_from)
            since = max(since, self.world.trouble_ends)
            if body.rid in self.evicted:  # that is told by a poll, which needs the outbox
                since = max(since, process.inconvenient)
            # By the next heartbeat, or the one after it if that is lost.
            if process.turns and now - since > self.plan.lease / 2 + 0.5:
                self.fail("not told of the loss", f"{process} token {body.token}")

    def _holds(self, body: Body) -> bool:
        return self.watch.live.get(body.token, ("",))[0] == body.rid

    def _may_lose(self, body: Body) -> bool:
        """Whether the lease may have been taken from a process that did nothing wrong."""
        if body.process.closing or body.rid in self.evicted:
            return True
        if any(flush >= body.began - self.plan.lease for flush in self.world.server.flushes):
            return True
        return body.process.may_expire(since=self.world.lately)

    # The callers

    def began(self, caller: Caller, lease: Lease) -> Body:
        body = Body(
            caller.process, lease, lease.request_id, lease.slot, lease.token, self.clock.now
        )
        self.tell(f"{caller.process.name} body of token {body.token} in slot {body.slot}")
        if body.token in self._begun and body.token > self.watch.amnesty:
            self.fail("two bodies", f"token {body.token}")
        self._begun.add(body.token)
        self._bodies.append(body)
        if lease.task.task_id is not None:
            self._served.add(lease.task.task_id)
        self.seen["bodies"] += 1
        self.writes(body)
        return body

    def writes(self, body: Body) -> None:
        """The body writes to a resource that remembers the highest token of each slot."""
        if body.token < self._highest.get(body.slot, 0):
            self.seen["stale writes refused"] += 1
            if body.token > self.watch.amnesty and not self._may_lose(body):
                self.fail("stale write", f"{body.process} slot {body.slot} token {body.token}")
        else:
            self._highest[body.slot] = body.token
            self.seen["writes"] += 1

    def ended(self, body: Body) -> None:
        self._bodies.remove(body)
        self.tell(f"{body.process.name} end of token {body.token}")

    def submitted(self, task: str) -> None:
        self._submitted.add(task)

    @property
    def known_tasks(self) -> list[str]:
        return sorted(self._submitted)

    def resulted(self, task: str, value: object) -> None:
        """A caller has got a result; of one that `acquire` has served, None."""
        if value not in (task, None):
            self.fail("wrong result", f"of {task}: {value!r}")
        self.seen["results"] += 1

    def returned(self, caller: Caller, error: BaseException | None) -> None:
        """A caller has got what it got."""
        name = type(error).__name__ if error is not None else "ok"
        self.seen[f"{caller.event.kind}: {name}"] += 1
        self.tell(f"{caller} -> {name}")
        if error is not None and caller.process.alive and not self._fits(caller, error):
            self.fail(f"unexpected {name}", f"{caller}: {error}")

    def _fits(self, caller: Caller, error: BaseException) -> bool:
        process, body = caller.process, caller.body
        since = self.clock.now - self.plan.backend_timeout - 8.0
        match error:
            case asyncio.CancelledError():
                return caller.cancelled
            case errors.AcquireTimeoutError():
                return caller.event.how.get("timeout") is not None
            case errors.BackpressureError():
                return self.plan.max_waiters is not None
            case errors.ShutdownError():
                return process.closing
            case errors.LeaseLostError():
                if self.plan.strict and (process.troubled(since) or self.world.troubled(since)):
                    return True
                if body is None:  # lost before it could begin
                    return process.closing or error.token not in self.watch.live
                return process.closing or not self._holds(body)
            case errors.BackendMemoryError():
                return self.world.was_full(since)
            case errors.BackendUnavailableError():
                if self.world.troubled(since) or self.world.was_full(since):
                    return True  # a full server opens no session
                return process.inconvenienced(since)
            case errors.SessionExpiredError():
                return caller.event.kind != "acquire"
            case errors.EvictedError():
                return error.request_id in self.evicted
            case errors.TaskRunningError():
                return caller.event.kind == "cancel_task"
            case errors.UnknownTaskError():
                return caller.event.kind in ("cancel_task", "result")
            case errors.TaskFailedError() | errors.ResultNotKeptError():
                return caller.event.kind == "result"
            case TimeoutError():
                return caller.event.kind == "result" and not self._should_know(caller)
            case errors.UnknownRequestError():
                return caller.event.kind == "evict"
        return False

    def _should_know(self, caller: Caller) -> bool:
        """Whether the result was there for so long that the next heartbeats must have told it."""
        process, now = caller.process, self.clock.now
        since = max(self._done.get(caller.detail, now), caller.event.at + BEGIN)
        since = max(since, process.trouble_ends, process.turns_from, process.inconvenient)
        return now - max(since, self.world.trouble_ends) > self.plan.lease / 2 + 0.5

    # The end

    def check_orphans(self) -> None:
        """Some time after the last fault: each lease belongs to a body of a living process."""
        running = {body.token for body in self._bodies}
        for token, (rid, lease) in self.watch.live.items():
            owner = self.watch.owners[rid[:16]]
            age = (self.world.server.now - lease.since) / 1e6
            if owner.turns and token not in running and age > self.plan.lease / 4 + SLACK:
                self.fail("orphan grant", f"{rid} of {owner.name} for {age:.3f} s")

    def check_reclaimed(self) -> None:
        """Nothing of a dead process is left after lease + heartbeat interval + 1 s."""
        state = self.world.server.state
        bound = (self.plan.lease * 1.25 + SLACK) * 1e6
        for session in state.sessions:
            owner = self.watch.owners[session]
            if owner.died_at is not None and state.vnow - owner.died_at - bound > 0:
                self.fail("not reclaimed", f"session {session} of {owner.name}")

    def check_at_rest(self) -> None:
        try:
            invariants.check_at_rest(self.watch.check_dump())
        except invariants.InvariantViolation as error:
            self.fail("not at rest", str(error))
        state, flushes = self.world.server.state, self.world.server.flushes
        gone = self._served | self.cancelled_tasks | state.tasks.keys()
        last = flushes[-1] if flushes else 0.0
        lost = [task for task in self._submitted - gone if self.watch.accepted[task] > last]
        if lost:
            self.fail("task lost", str(sorted(lost)))
