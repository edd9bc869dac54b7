"""One worker process of the demo: five kinds of agents, three whose work is bound to its request
and two whose tasks are durable, so that any worker may serve them, also after its owner's death."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from dataclasses import dataclass
from itertools import count

from loco_redis import AsyncLOCOScheduler, Lease, SharedResource, Task
from loco_redis.cli.play._inside import Parent, run

Range = tuple[float, float]

_SERVERS = 2  # durable tasks that one worker serves at once
_LOOK_EVERY = 0.1  # seconds between looks for durable tasks


@dataclass(frozen=True)
class Stream:
    """The work of one agent in one worker; times are seconds."""

    agent: str
    weight: Range
    takes: Range
    pause: Range
    burst: int = 1
    backlog: int = 0  # durable tasks at the start


BOUND = (
    Stream("webhook", weight=(1, 1), takes=(0.08, 0.15), pause=(2.2, 2.8), burst=3),
    Stream("chat", weight=(1, 3), takes=(0.2, 0.3), pause=(0.2, 0.6)),
    Stream("analyst", weight=(3, 6), takes=(0.35, 0.6), pause=(0.5, 1.2)),
)
DURABLE = (
    Stream("embed", weight=(1, 2), takes=(0.1, 0.25), pause=(1.6, 2.6), backlog=2),
    Stream("batch", weight=(2, 6), takes=(0.3, 0.6), pause=(1.2, 2.0), backlog=5),
)


class Worker:
    """Plays its agents until it is told to stop; serves durable tasks until it is cancelled."""

    def __init__(self, scheduler: AsyncLOCOScheduler, parent: Parent, number: int) -> None:
        self._scheduler, self._parent, self._number = scheduler, parent, number
        self._random = random.Random(number)
        self._requests = count(1)
        self._stop = asyncio.Event()

    async def play(self) -> None:
        async with asyncio.TaskGroup() as everything:
            for stream in DURABLE:
                for _ in range(_SERVERS):
                    everything.create_task(self._serve(stream.agent))
            async with asyncio.TaskGroup() as asking:
                for stream in BOUND:
                    asking.create_task(self._ask_often(stream))
                for stream in DURABLE:
                    asking.create_task(self._submit_often(stream))
            self._parent.say("idle")

    async def stop_when_told(self) -> None:
        await self._parent.told()
        self._stop.set()

    async def _ask_often(self, stream: Stream) -> None:
        # The first burst of each worker comes at another moment.
        await self._pause((0.0, stream.pause[1]))
        while not self._stop.is_set():
            async with asyncio.TaskGroup() as burst:
                for _ in range(stream.burst):
                    burst.create_task(self._ask(stream))
            await self._pause(stream.pause)

    async def _ask(self, stream: Stream) -> None:
        weight, takes = round(self._pick(stream.weight), 1), self._pick(stream.takes)
        request, asked = self._say_asked(), time.monotonic()
        async with self._scheduler.acquire(stream.agent, weight=weight) as lease:
            done = await self._hold(lease, request, asked, takes)
        self._parent.say("released", **done)

    async def _submit_often(self, stream: Stream) -> None:
        for number in count(1):
            payload = {
                "label": f"{stream.agent}-{self._number}.{number}",
                "takes": self._pick(stream.takes),
                "asked": time.monotonic(),
            }
            weight = round(self._pick(stream.weight), 1)
            task = Task(weight=weight, payload=json.dumps(payload).encode())
            task_id = await self._scheduler.submit_task(stream.agent, task)
            self._parent.say("submitted", task=task_id, label=payload["label"])
            if number >= stream.backlog:
                await self._pause(stream.pause)
            if self._stop.is_set():
                return

    async def _serve(self, agent: str) -> None:
        while True:
            if await self._unclaimed(agent):
                await self._serve_one(agent)
            else:
                await asyncio.sleep(_LOOK_EVERY)

    async def _unclaimed(self, agent: str) -> bool:
        """Whether there are more tasks queued than requests waiting to serve one."""
        try:
            seen = await self._scheduler.get_agent(agent)
        except ValueError:
            return False  # nobody has submitted a task yet
        return seen.queued > seen.waiting

    async def _serve_one(self, agent: str) -> None:
        request, asked = self._say_asked(), time.monotonic()
        async with self._scheduler.acquire(agent) as lease:
            # Without a payload somebody else took the last task meanwhile: there is nothing to do.
            todo = json.loads(lease.task.payload or b"{}")
            done = await self._hold(
                lease, request, todo.get("asked", asked), todo.get("takes", 0), todo.get("label")
            )
        self._parent.say("released", **done)

    async def _hold(
        self, lease: Lease, request: int, asked: float, takes: float, label: str | None = None
    ) -> dict[str, float]:
        """The work under the lease; returns what to say once it has been given back."""
        start = time.monotonic()
        self._parent.say(
            "granted",
            request=request,
            agent=lease.agent_id,
            slot=lease.slot,
            token=lease.token,
            weight=lease.task.weight,
            ticks=lease.waited_ticks,
            score=lease.score,
            task=lease.task.task_id,
            label=label,
            attempt=lease.task.attempt,
            start=start,
            waited=start - asked,
        )
        await asyncio.sleep(takes)
        cost = round(lease.task.weight * self._pick((0.8, 1.2)), 3) if takes else 0.0
        await lease.settle(cost)
        return {"token": lease.token, "cost": cost, "end": time.monotonic()}

    def _say_asked(self) -> int:
        request = next(self._requests)
        self._parent.say("asked", request=request)
        return request

    def _pick(self, between: Range) -> float:
        return self._random.uniform(*between)

    async def _pause(self, between: Range) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pick(between)):
                await self._stop.wait()


async def work(parent: Parent) -> None:
    """Told a plan, then "go", then "stop"; says what it does until its parent leaves."""
    plan = await parent.told()
    async with AsyncLOCOScheduler([], SharedResource(plan["name"])) as scheduler:
        worker = Worker(scheduler, parent, plan["number"])
        parent.say("ready")
        await parent.told()
        playing = asyncio.create_task(worker.play(), name="play")
        stopping = asyncio.create_task(worker.stop_when_told(), name="stop")
        await asyncio.gather(playing, stopping)


if __name__ == "__main__":
    run(work)
