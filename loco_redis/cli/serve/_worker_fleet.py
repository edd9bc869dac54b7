"""The worker processes of `loco-redis workers`: how many there should be, and that there are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from loco_redis._tasks import end
from loco_redis.backoff import Backoff
from loco_redis.cli.serve._child import Child, Work, status_word
from loco_redis.errors import LocoRedisError
from loco_redis.orchestration.scaling import Load, Looks, desired_workers
from loco_redis.snapshots import Snapshot

_AT_ONCE = 10.0  # seconds: who dies sooner would die again
_AGAIN = Backoff(base=1.0, cap=30.0)
_MARGIN = 2.0  # seconds for closing connections, beyond the grace


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many workers there may be, and how quickly that changes; times are seconds."""

    least: int
    most: int
    factor: float
    slo: float
    every: float
    cool_down: float


class Tell(Protocol):
    """Is told what happens."""

    def __call__(self, event: str, **facts: object) -> None: ...


class WorkerFleet:
    """Starts workers and ends them until `stop`; then all end. For one event loop and one `run`.

    Args:
        look: a snapshot; it may block, and raise LocoRedisError.
    """

    def __init__(
        self, work: Work, bounds: Bounds, look: Callable[[], Snapshot], tell: Tell
    ) -> None:
        self._work, self._bounds, self._look, self._tell = work, bounds, look, tell
        self._wanted = bounds.least
        self._looks = Looks()
        self._is_blind = False
        self._children: dict[Child, asyncio.Task[None]] = {}
        self._ends: set[asyncio.Task[None]] = set()  # of the time that those who drain have
        self._started = 0
        self._calm_since: float | None = None
        self._failures, self._not_before = 0, 0.0
        self._shown: str | None = None  # the last error
        self._changed, self._stop = asyncio.Event(), asyncio.Event()
        self.killed = 0

    def __repr__(self) -> str:
        return f"<WorkerFleet of {self._work.handlers} {len(self._serving)} of {self._wanted}>"

    @property
    def _serving(self) -> list[Child]:
        return [child for child in self._children if not child.is_draining]

    async def run(self) -> None:
        """Returns when it was stopped and no process is left."""
        looking = asyncio.create_task(self._look_often(), name="looks")
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            while not self._stop.is_set():
                self._changed.clear()
                await self._fill()
                changed = asyncio.create_task(self._changed.wait(), name="changed")
                pause = self._not_before - time.monotonic() if self._failures else 0.0
                await asyncio.wait(
                    {changed, stop, looking},
                    timeout=pause if pause > 0 else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                await end(changed)
                if looking.done():
                    looking.result()
        finally:
            await end(looking, stop)
            await self._end_all()

    def stop(self) -> None:
        """Drain them all; the second time their tasks are cancelled and go back."""
        if self._stop.is_set():
            for child in self._children:
                child.drain()
        self._stop.set()

    # How many there should be

    async def _look_often(self) -> None:
        while True:
            try:
                load = self._looks.saw(await asyncio.to_thread(self._look))
            except LocoRedisError as error:
                if not self._is_blind:
                    self._tell("blind", error=str(error), workers=self._wanted)
                self._is_blind = True
            else:
                self._is_blind = False
                self._decide(load)
            serving = self._serving
            if serving and all(child.is_ready and child.age >= _AT_ONCE for child in serving):
                self._failures = 0
            await asyncio.sleep(self._bounds.every)

    def _decide(self, load: Load) -> None:
        bounds, before = self._bounds, self._wanted
        desired = desired_workers(
            load,
            slo=bounds.slo,
            concurrency=self._work.concurrency,
            min=bounds.least,
            max=bounds.most,
            current=before,
            factor=bounds.factor,
        )
        now = time.monotonic()
        if desired >= before:
            self._calm_since = None
            self._wanted = desired
        elif self._calm_since is None:
            self._calm_since = now
        elif now - self._calm_since >= bounds.cool_down and self._is_settled():
            self._calm_since = now
            self._wanted = before - 1
        if self._wanted != before:
            self._tell(
                "scaled",
                workers=self._wanted,
                before=before,
                backlog=load.backlog,
                running=load.running,
                service=load.service,
                arrivals=load.arrivals,
            )
            if len(serving := self._serving) > self._wanted:
                self._drain(serving[-1])  # the youngest
            self._changed.set()

    def _is_settled(self) -> bool:
        return not any(child.is_draining for child in self._children)

    # That there are so many

    async def _fill(self) -> None:
        while len(self._serving) < self._wanted and not self._stop.is_set():
            if time.monotonic() < self._not_before:
                return
            # After one that failed, the next has to show that it works before there are more.
            if self._failures and not all(child.is_ready for child in self._serving):
                return
            self._started += 1
            child = await Child.start(self._started, self._work)
            watching = asyncio.create_task(self._watch(child), name=f"worker-{child.number}")
            self._children[child] = watching
            self._tell("started", worker=child.number, pid=child.pid)

    async def _watch(self, child: Child) -> None:
        if await child.became_ready():
            self._changed.set()
        status = await child.ended()
        del self._children[child]
        facts = {"worker": child.number, "pid": child.pid}
        if child.is_draining and child.error is None:
            self._tell("ended", **facts, done=child.done, failed=child.failed)
        else:
            retry_in = self._again_in(child)
            error = child.error or status_word(status)
            # The same error of all workers and attempts is shown once.
            if child.error is None or child.error != self._shown:
                self._tell("died", **facts, error=error, retry_in=retry_in)
            self._shown = child.error or self._shown
        self._changed.set()

    def _again_in(self, child: Child) -> float:
        """Seconds until the next may be started."""
        now = time.monotonic()
        if child.is_ready and child.age >= _AT_ONCE:
            self._failures = 0
        elif now >= self._not_before:  # else others failed with it
            self._failures += 1
            # One that served and then died is replaced at once, if it does not do so again.
            if not (child.is_ready and self._failures == 1):
                self._not_before = now + _AGAIN.ceiling(self._failures)
        return max(self._not_before - now, 0.0)

    # Ending

    def _drain(self, child: Child) -> None:
        child.drain()
        self._tell("draining", worker=child.number, pid=child.pid)
        task = asyncio.create_task(self._end_in_time(child), name=f"drain-{child.number}")
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    async def _end_in_time(self, child: Child) -> None:
        watching = self._children.get(child)
        if watching is None:
            return
        done, _ = await asyncio.wait({watching}, timeout=self._work.grace + _MARGIN)
        if not done:
            child.kill()
            self.killed += 1
            self._tell("killed", worker=child.number, pid=child.pid, grace=self._work.grace)
            await asyncio.wait({watching})

    async def _end_all(self) -> None:
        for child in self._serving:
            self._drain(child)
        while tasks := {*self._ends, *self._children.values()}:
            await asyncio.wait(tasks)
