"""What the callers of a plan do in their process, and what they tell the oracle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from loco_redis import Task
from tests.simulation.plan import Event

if TYPE_CHECKING:
    from loco_redis.lease import Lease
    from tests.simulation.oracle import Body
    from tests.simulation.process import Process
    from tests.simulation.world import World


class Caller:
    """One event of the plan, carried out by a process.

    Attributes:
        done: it has returned or raised.
        cancelled: we have cancelled it.
        body: what it ran in a slot.
        detail: a task's or a request's id.
    """

    def __init__(self, world: World, process: Process, event: Event) -> None:
        self.world, self.process, self.event = world, process, event
        self.oracle = world.oracle
        self.done = self.cancelled = False
        self.body: Body | None = None
        self.detail = ""

    def __repr__(self) -> str:
        return f"{self.process.name} {self.event.kind} of {self.event.at:.3f}"

    def start(self) -> None:
        self.process.spawn(self._run())

    async def _run(self) -> None:
        cancel = self.event.how.get("cancel")
        task = asyncio.current_task()
        assert task is not None
        if cancel is not None:
            asyncio.get_running_loop().call_later(cancel, self._cancel, task)
        error: BaseException | None = None
        try:
            await _KINDS[self.event.kind](self)
        except (Exception, asyncio.CancelledError) as raised:  # noqa: BLE001  the oracle judges it
            error = raised
        self.done = True
        self.oracle.returned(self, error)

    def _cancel(self, task: asyncio.Task[Any]) -> None:
        if not self.done:
            self.cancelled = True
            task.cancel()

    async def _acquire(self) -> None:
        scheduler, how = self.process.scheduler, self.event.how
        agent, wish = how["agent"], {"weight": how["weight"], "timeout": how["timeout"]}
        if how["form"] == "handle":
            handle = await scheduler.acquire_start(agent, **wish)
            try:
                await self._work(handle.lease)
            finally:
                await scheduler.release_handle(handle)
        else:
            async with scheduler.acquire(agent, **wish) as lease:
                await self._work(lease)

    async def _serve(self) -> None:
        how = self.event.how
        async with self.process.scheduler.serve(how["timeout"]) as lease:
            self.detail = lease.task.task_id or ""
            await self._work(lease)
            if lease.lost:
                return
            if how["fails"]:
                lease.fail("as planned", how["retry_in"])
            else:
                lease.complete(self.detail)

    async def _result(self) -> None:
        self.detail = self.process.chance.choice([*self.oracle.known_tasks, "no such task"])
        value = await self.process.scheduler.result(self.detail, self.event.how["timeout"])
        self.oracle.resulted(self.detail, value)

    async def _work(self, lease: Lease) -> None:
        how = self.event.how
        body = self.body = self.oracle.began(self, lease)
        try:
            for part in range(3):
                await asyncio.sleep(how["hold"] / 3)
                if lease.lost:
                    return
                self.oracle.writes(body)
                if part == 1 and how["settle"] is not None:
                    await lease.settle(how["settle"])
        finally:
            self.oracle.ended(body)

    async def _submit(self) -> None:
        how = self.event.how
        payload = b"payload" if how["payload"] else None
        task = Task(weight=1.5, max_attempts=how["attempts"], payload=payload)
        self.detail = await self.process.scheduler.submit_task(
            how["agent"],
            task,
            delay=how["delay"],
            deadline=how["deadline"],
            result_ttl=how["result_ttl"],
            dedup_key=how["key"],
        )
        self.oracle.submitted(self.detail)

    async def _cancel_task(self) -> None:
        queued = [task.rid for task in self.world.server.state.tasks.values()]
        self.detail = self.process.chance.choice([*queued, "no such task"])
        self.oracle.cancelled_tasks.add(self.detail)
        await self.process.scheduler.cancel_task(self.detail)

    async def _evict(self) -> None:
        found = sorted(self.world.server.state.requests)
        self.detail = self.process.chance.choice([*found, "no such request"])
        self.oracle.evicted.add(self.detail)
        await self.process.scheduler.operations.cancel(self.detail)

    async def _reconfigure(self) -> None:
        await self.process.scheduler.reconfigure(alpha=self.event.how["alpha"])


_KINDS: dict[str, Callable[[Caller], Coroutine[Any, Any, None]]] = {
    "acquire": Caller._acquire,
    "serve": Caller._serve,
    "result": Caller._result,
    "submit": Caller._submit,
    "cancel_task": Caller._cancel_task,
    "evict": Caller._evict,
    "reconfigure": Caller._reconfigure,
}
CALLS = tuple(_KINDS)
