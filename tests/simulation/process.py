"""A simulated process: an event loop of its own with one scheduler, and what may befall it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from loco_redis import Agent, AsyncLOCOScheduler, SharedResource
from tests.simulation.clock import Loop
from tests.simulation.link import Link
from tests.simulation.plan import AGENTS
from tests.simulation.server import NAME
from tests.simulation.transport import Client

if TYPE_CHECKING:
    from tests.simulation.world import World

_NEVER = float("inf")


class Process:
    """One incarnation of a process of the plan.

    Attributes:
        alive: not killed; a dead one runs nothing, and what comes for it is for nobody.
        closing: `aclose` was called, or will be at once.
        closed: it has returned.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.chance = world.chance(name)
        self.loop = Loop(world.clock)
        self.link = Link(self)
        self.alive = True
        self.closing = self.closed = False
        self.died_at: int | None = None  # on the lease clock
        self._frozen = 0
        self._blocked = 0
        self._put_off: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        self._troubles: list[tuple[float, float]] = []
        self.inconvenient = self._blocked_since = 0.0
        self.turns_from = 0.0  # until then it was blocked
        self.lost_beats = 0  # lately
        plan = world.plan
        capped = Agent(AGENTS[0], max_concurrency=1) if plan.capped else None
        self.scheduler = AsyncLOCOScheduler(
            [capped] if capped else [],
            SharedResource(NAME, capacity=plan.capacity, rpm=plan.rpm),
            redis=Client(self),
            lease_ttl=plan.lease,
            max_waiters=plan.max_waiters,
            max_stall=plan.max_stall,
            strict=plan.strict,
            backend_timeout=plan.backend_timeout,
        )

    def __repr__(self) -> str:
        return self.name

    @property
    def runs(self) -> bool:
        return self.alive and not self._frozen

    @property
    def turns(self) -> bool:
        """Its event loop runs, too."""
        return self.runs and not self._blocked

    @property
    def session_id(self) -> str | None:
        """Of its session, if that is open."""
        session = self.scheduler._session
        return session.ledger.session if session is not None and session.is_open else None

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in a task of this process, as soon as its loop turns."""
        self.loop.call_soon(self.loop.create_task, work)

    def put_off(self, what: Callable[..., object], *args: Any) -> bool:
        """True if nothing runs here now: `what` is called when it does again, if ever."""
        if self.runs:
            return False
        if self.alive:
            self._put_off.append((what, args))
        return True

    # Troubles that excuse what would otherwise be a defect

    def trouble(self, seconds: float) -> None:
        """For so long its session may fail to be renewed."""
        now = self.world.clock.now
        self._troubles.append((now, now + seconds))

    def troubled(self, since: float) -> bool:
        """Has there been any since then?"""
        return not self.alive or any(end >= since for _, end in self._troubles)

    def inconvenience(self, seconds: float) -> None:
        """For so long its calls may fail, though its session does not."""
        self.inconvenient = max(self.inconvenient, self.world.clock.now + seconds)

    def inconvenienced(self, since: float) -> bool:
        return self.inconvenient >= since or self.troubled(since)

    def may_expire(self, since: float) -> bool:
        """One lost beat or one short outage does no harm, several within a lease may."""
        return self.troubled(since) or self.lost_beats + self.world.faltered(since) > 1

    @property
    def trouble_ends(self) -> float:
        return max((end for _, end in self._troubles), default=0.0)

    # What befalls it

    def kill(self, after: int) -> None:
        """It is gone without a word, `after` callbacks from now."""
        self.loop.light(after, self._die)

    def _die(self) -> None:
        if not self.alive:
            return
        self.alive = False
        self.died_at = self.world.server.state.vnow
        self.loop.stopped = True
        self.link.gone = True
        for connection in [*self.link.connections]:
            connection.cut(drops=False, linger=0.0)
        self.trouble(_NEVER)

    def freeze(self, seconds: float, after: int) -> None:
        """SIGSTOP, and SIGCONT after so many seconds."""
        self.loop.light(after, lambda: self._freeze(seconds))

    def _freeze(self, seconds: float) -> None:
        self._frozen += 1
        self.trouble(seconds)
        self._hold()
        self.world.clock.after(seconds, self._thaw)

    def _thaw(self) -> None:
        self._frozen -= 1
        self._hold()
        if self.runs:
            held, self._put_off = self._put_off, []
            for what, args in held:
                self.world.clock.after(self.chance.choice((0.0, 0.001)), what, *args)

    def block(self, seconds: float) -> None:
        """The event loop is blocked by its own code; the heartbeat's thread is not."""
        self.inconvenience(seconds)  # afterwards time limits are noticed before replies are read
        now, plan = self.world.clock.now, self.world.plan
        if not self._blocked:
            self._blocked_since = now
        # The heartbeat knows of the last turn by what it asked for a beat ago.
        if now + seconds - self._blocked_since + plan.lease / 4 > plan.max_stall - 0.2:
            self.trouble(seconds)
        self._blocked += 1
        self.turns_from = max(self.turns_from, now + seconds)
        self._hold()
        self.world.clock.after(seconds, self._unblock)

    def _unblock(self) -> None:
        self._blocked -= 1
        self._hold()

    def _hold(self) -> None:
        self.loop.stopped = not self.turns

    def close(self) -> None:
        self.closing = True
        self.spawn(self._close())

    async def _close(self) -> None:
        await self.scheduler.aclose()
        self.closed = True

    # Afterwards

    def leftovers(self) -> list[str]:
        """Tasks that still run in a closed process, and errors that nobody has looked at."""
        left = [f"task {task.get_name()} still runs" for task in self._tasks if not task.done()]
        left += self.loop.complaints
        for future in self.loop.made:
            if future.done() and not future.cancelled() and future._log_traceback:  # type: ignore[attr-defined]
                left.append(f"never retrieved: {future.exception()!r}")
        return left

    @property
    def _tasks(self) -> list[asyncio.Task[Any]]:
        return [future for future in self.loop.made if isinstance(future, asyncio.Task)]

    def bury(self) -> None:
        """Let what a dead process was doing end somehow, so that no coroutine is left to the
        garbage collector."""
        self._frozen = self._blocked = 0
        self.alive = False
        self.loop.stopped = False
        self.closing = self.link.gone = True
        self.spawn(self._close())

    def cancel_all(self) -> None:
        for task in self._tasks:
            task.cancel()

    @property
    def is_buried(self) -> bool:
        return all(task.done() for task in self._tasks)
