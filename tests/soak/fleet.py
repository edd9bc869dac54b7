"""The workers, each behind a proxy of its own."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import IO, Any

from tests.proxy import Proxy, proxied
from tests.servers import Server
from tests.soak.processes import Talking
from tests.soak.record import Record

_UP_WITHIN = 90.0


class Worker:
    """The process at one place of the fleet, and its proxy; after a kill it is another process."""

    def __init__(self, number: int, proxy: Proxy, fleet: Fleet) -> None:
        self.number, self.proxy, self._fleet = number, proxy, fleet
        self.opened, self.drained = asyncio.Event(), asyncio.Event()
        self.finished = False
        self._starts = 0

    async def start(self) -> None:
        fleet = self._fleet
        self._starts += 1
        self.opened.clear()
        seed = f"{fleet.seed}-{self.number}-{self._starts}"
        self.process = await Talking.start(
            "tests.soak.worker",
            *(
                str(self.number),
                self.proxy.url,
                fleet.oracle,
                str(fleet.callers),
                seed,
                fleet.level,
            ),
            hear=self._hear,
            log=fleet.log,
        )
        fleet.workers_by_pid[self.process.pid] = self.number

    async def kill(self) -> None:
        """SIGKILL. What it has sent and the proxy has not forwarded yet is gone with it."""
        pid = self.process.pid
        self._fleet.killed[pid] = self._fleet.record.moment("killed", self.number, pid)
        self.process.signal(signal.SIGKILL)
        self.proxy.cut()
        await self.process.kill()

    def _hear(self, facts: dict[str, Any]) -> None:
        fleet, now = self._fleet, time.monotonic()
        match facts["event"]:
            case "slow":
                fleet.record.slow(self.number, facts["begin"], facts["end"])
            case "open":
                fleet.opened_at[self.process.pid] = now
                self.opened.set()
            case "opening":
                fleet.opening[facts["error"]] += 1
            case "drained":
                self.drained.set()
            case "stuck":
                fleet.stuck.append((facts["since"], now, facts["who"]))
            case "error":
                fleet.violations.append((now, f"worker {self.number}: {facts['error']}"))
            case "finished":
                self.finished = True
                fleet.outcomes.update(facts["outcomes"])
                fleet.violations += [
                    (now, f"a caller of worker {self.number} does not end: {who}")
                    for who in facts["stuck"]
                ]


class Fleet:
    """All workers, and what they have told."""

    def __init__(
        self, seed: int, callers: int, oracle: str, record: Record, log: IO[bytes], level: str
    ) -> None:
        self.seed, self.callers, self.oracle = seed, callers, oracle
        self.record, self.log, self.level = record, log, level
        self.workers: list[Worker] = []
        self.workers_by_pid: dict[int, int] = {}
        self.killed: dict[int, float] = {}
        self.opened_at: dict[int, float] = {}
        self.opening: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.stuck: list[tuple[float, float, str]] = []
        self.violations: list[tuple[float, str]] = []
        self.finishing_at = float("inf")
        self._proxies = AsyncExitStack()

    async def start(self, server: Server, size: int) -> None:
        for number in range(size):
            proxy = await self._proxies.enter_async_context(proxied(server))
            worker = Worker(number, proxy, self)
            self.workers.append(worker)
            await worker.start()
        async with asyncio.timeout(_UP_WITHIN):
            await asyncio.gather(*(worker.opened.wait() for worker in self.workers))

    def tell(self, line: str) -> None:
        for worker in self.workers:
            worker.process.tell(line)

    async def drain(self, timeout: float) -> None:
        """Have all of them do nothing but serve durable tasks, and wait until nothing else is under
        way; whoever does not get there is a violation."""
        self.tell("drain")
        waits = [asyncio.create_task(worker.drained.wait()) for worker in self.workers]
        await asyncio.wait(waits, timeout=timeout)
        for worker, wait in zip(self.workers, waits, strict=True):
            if wait.cancel():
                now = time.monotonic()
                self.violations.append((now, f"worker {worker.number} does not drain"))

    async def finish(self, timeout: float) -> None:
        """Have all of them end by themselves; whoever does not is a violation, and killed."""
        self.finishing_at = time.monotonic()
        self.tell("finish")
        await asyncio.wait([worker.process.ended for worker in self.workers], timeout=timeout)
        now = time.monotonic()
        for worker in self.workers:
            if not worker.process.ended.done():
                self.violations.append((now, f"worker {worker.number} does not finish"))
            elif worker.process.ended.result() or not worker.finished:
                code = worker.process.ended.result()
                self.violations.append((now, f"worker {worker.number} ended with {code}"))

    async def aclose(self) -> None:
        for worker in self.workers:
            await worker.process.kill()
        await self._proxies.aclose()
