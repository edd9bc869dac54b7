"""Load on a resource, by several schedulers here and in other processes, and what callers saw.

    python -m tests.faults.traffic '{"url": ..., "agents": [...], "lease_ttl": ...}'

is such a process: its callers pass through slots until its input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from loco_redis import AsyncLOCOScheduler, LeaseLostError, LocoRedisError, SharedResource
from loco_redis._server import EmbeddedServer
from loco_redis.testing import invariants
from loco_redis.testing.dump import Dump
from tests.faults.evidence import Evidence, Failure, Passage
from tests.faults.topologies import client_of
from tests.schedulers import NAME, dump_of
from tests.servers import Server
from tests.waiting import eventually

BODY = 0.005  # seconds of work
_ROOT = Path(__file__).parents[2]


class Callers:
    """Tasks that pass through slots of some schedulers until `stop` is set."""

    def __init__(self, schedulers: Iterable[AsyncLOCOScheduler], agents: Iterable[str]) -> None:
        self.seen, self.stop = Evidence(), asyncio.Event()
        agents = list(agents)
        self._tasks = [
            asyncio.create_task(self._call(scheduler, agent))
            for scheduler in schedulers
            for agent in agents
        ]

    async def ended(self) -> Evidence:
        """Tell them to stop, and wait until all have; raises what is no error of ours."""
        self.stop.set()
        await asyncio.gather(*self._tasks)
        return self.seen

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _call(self, scheduler: AsyncLOCOScheduler, agent: str) -> None:
        while not self.stop.is_set():
            asked, lease, began, ended = time.monotonic(), None, 0.0, 0.0
            try:
                async with scheduler.acquire(agent) as lease:
                    began, session = time.monotonic(), lease.request_id.partition(":")[0]
                    try:
                        await asyncio.sleep(BODY)
                    finally:
                        ended = time.monotonic()
            except LeaseLostError:
                pass
            except LocoRedisError as error:
                self.seen.failures.append(Failure(asked, time.monotonic(), type(error).__name__))
                await asyncio.sleep(BODY)
            if lease is not None:
                passage = Passage(asked, began, ended, lease.slot, lease.token, session, lease.lost)
                self.seen.passages.append(passage)


class Crew:
    """Such callers in a process of their own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, **options: Any) -> Crew:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.traffic", json.dumps(options)),
            stdin=pipe,
            stdout=pipe,
            limit=1 << 26,
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"open\n"
        return cls(process)

    async def ended(self) -> Evidence:
        told, _ = await self.process.communicate(b"")  # so its input ends
        assert self.process.returncode == 0
        passages, failures, sessions = json.loads(told)
        return Evidence(
            [Passage(*p) for p in passages], [Failure(*f) for f in failures], {*sessions}
        )

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            await self.process.communicate()


class Traffic:
    """Load that goes on while a test breaks something; `finish` it."""

    def __init__(self, schedulers: list[AsyncLOCOScheduler], crews: list[Crew]) -> None:
        self.schedulers, self._crews = schedulers, crews
        self.sessions = {str(scheduler.session_id) for scheduler in schedulers}  # at first
        self._callers = Callers(schedulers, [f"agent-{index}" for index in range(4)])

    async def flows(self, since: float = 0.0, passages: int = 20, timeout: float = 30.0) -> None:
        """Wait for bodies of each scheduler here that have begun after `since`."""

        def flowing() -> bool:
            begun = [p.session for p in self._callers.seen.passages if p.began > since]
            now = [str(scheduler.session_id) for scheduler in self.schedulers]
            return all(begun.count(session) >= passages for session in now)

        await eventually(flowing, timeout, f"{passages} bodies of each scheduler")

    async def finish(self) -> Evidence:
        """Stop the callers, close the schedulers; what all of them saw."""
        seen = await self._callers.ended()
        seen.sessions = {str(scheduler.session_id) for scheduler in self.schedulers}
        for other in await asyncio.gather(*(crew.ended() for crew in self._crews)):
            seen.passages += other.passages
            seen.failures += other.failures
        await asyncio.gather(*(scheduler.aclose() for scheduler in self.schedulers))
        return seen

    async def end(self) -> None:
        self._callers.cancel()
        await asyncio.gather(*(crew.kill() for crew in self._crews))
        await asyncio.gather(*(scheduler.aclose() for scheduler in self.schedulers))


@contextlib.asynccontextmanager
async def traffic(
    url: str, *, capacity: int = 2, schedulers: int = 2, processes: int = 1, **options: Any
) -> AsyncIterator[Traffic]:
    """Four callers in each of some schedulers here, and in each of some other processes."""
    made = [scheduler(url, capacity, **options) for _ in range(schedulers)]
    crews: list[Crew] = []
    running = None
    try:
        for each in made:
            await each.snapshot()
        for _ in range(processes):
            crews.append(await Crew.start(url=url, **options))
        running = Traffic(made, crews)
        await running.flows()
        yield running
    finally:
        if running is not None:
            await running.end()
        else:
            await asyncio.gather(*(crew.kill() for crew in crews))
            await asyncio.gather(*(each.aclose() for each in made))


def scheduler(url: str, capacity: int | None = 2, **options: Any) -> AsyncLOCOScheduler:
    """One of the resource, not opened yet."""
    options = {"lease_ttl": 0.6, "backend_timeout": 20.0, **options}
    rates = {name: options.pop(name) for name in ("rpm", "rpm_burst") if name in options}
    return AsyncLOCOScheduler(
        resource=SharedResource(NAME, capacity, **rates), redis=url, **options
    )


async def until_waited_for(scheduler: AsyncLOCOScheduler) -> None:
    """Until somebody waits in Redis."""
    async with asyncio.timeout(10):
        while not (await scheduler.snapshot()).waiters:  # noqa: ASYNC110  Redis wakes nobody here
            await asyncio.sleep(0.005)


def state_at(server: EmbeddedServer) -> Dump:
    """All keys of the resource."""
    with client_of(server) as client:
        return dump_of(Server("", server, client))


def state_at_rest(server: EmbeddedServer) -> Dump:
    """All keys of the resource when everybody has left: nothing may be held, waiting or owned."""
    state = state_at(server)
    invariants.check_at_rest(state)
    assert not state.sessions
    return state


async def _crew(url: str, **options: Any) -> None:
    async with scheduler(url, None, **options) as own:
        callers = Callers([own], [f"agent-{index}" for index in range(2, 6)])
        sys.stdout.write("open\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        seen = await callers.ended()
        json.dump([seen.passages, seen.failures, [own.session_id]], sys.stdout)


if __name__ == "__main__":
    asyncio.run(_crew(**json.loads(sys.argv[1])))
