"""Runs a soak: server, oracle, checker and fleet; the faults of the plan; a quiet end."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import IO, Any, cast

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis._scripts import Scripts
from loco_redis.testing import invariants
from loco_redis.testing.dump import Dump, parse
from tests.servers import DEFAULT, Server
from tests.soak.checker import dump
from tests.soak.evidence import Evidence
from tests.soak.fleet import Fleet
from tests.soak.plan import SERVER_KINDS, WORKER_KINDS, Planned, plan
from tests.soak.processes import Talking
from tests.soak.record import LATE, Pulse, Record, Span, log_to
from tests.soak.server import SoakServer
from tests.soak.server_faults import ServerFaults
from tests.soak.worker import NAME
from tests.soak.worker_faults import inflict

LEASE, CAPACITY = 1.0, 4
_DRAIN_WITHIN = _FINISH_WITHIN = _REST_WITHIN = 60.0


class Soak:
    """One run; `run` returns the evidence."""

    def __init__(
        self,
        seconds: float,
        processes: int,
        callers: int,
        seed: int,
        server: str = DEFAULT,
        log: Path | None = None,
    ) -> None:
        self._log = log
        self._seconds, self._processes, self._callers = seconds, processes, callers
        self._seed, self._server = seed, SoakServer(server)
        self._record = Record()
        self._evidence = Evidence(
            seed, LEASE, CAPACITY, processes, callers, seconds, server, self._record, []
        )
        self._findings: dict[str, Any] = {}

    async def run(self) -> Evidence:
        async with AsyncExitStack() as stack:
            stack.callback(self._server.close)
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
            path = self._log or home / "log"
            path.unlink(missing_ok=True)
            log = stack.enter_context(path.open("a+b"))
            level = "INFO" if self._log else "WARNING"
            log_to(stack.enter_context(path.open("a")), "conductor", level)
            stack.callback(logging.basicConfig, handlers=[logging.NullHandler()], force=True)
            await asyncio.to_thread(self._server.start)
            resource = SharedResource(NAME, CAPACITY)
            control = await stack.enter_async_context(
                AsyncLOCOScheduler([], resource, redis=self._server.url, lease_ttl=LEASE)
            )
            faults = ServerFaults(self._server, control, CAPACITY, self._record)
            faults.meter.prepare()
            place = str(home / "oracle")
            oracle = await self._listening(stack, "tests.soak.oracle", log, place, str(CAPACITY))
            checker = await self._listening(
                stack, "tests.soak.checker", log, self._server.url, NAME
            )
            fleet = Fleet(self._seed, self._callers, place, self._record, log, level)
            stack.push_async_callback(fleet.aclose)
            # It only wants to know where the server is.
            await fleet.start(cast(Server, self._server), self._processes)
            pulse = asyncio.create_task(self._pulse())
            stack.callback(pulse.cancel)
            await self._harm(fleet, faults)
            await self._settle(fleet, faults, control)
            for process in (checker, oracle):
                process.hang_up()
                await process.ended
            self._collect(fleet, faults, log)
        return self._evidence

    async def _listening(
        self, stack: AsyncExitStack, module: str, log: IO[bytes], *arguments: str
    ) -> Talking:
        """A process that says so when it is up."""
        up = asyncio.Event()

        def hear(facts: dict[str, Any]) -> None:
            self._hear(facts)
            up.set()

        process = await Talking.start(module, *arguments, hear=hear, log=log)
        stack.push_async_callback(process.kill)
        async with asyncio.timeout(30):
            await up.wait()
        return process

    def _hear(self, facts: dict[str, Any]) -> None:
        evidence = self._evidence
        match facts.get("event"):
            case "gone":
                evidence.gone.append(facts)
            case "born":
                evidence.born.append(facts)
            case "violation":
                evidence.violations.append((facts["at"], facts["text"]))
            case "slow":
                self._record.spans.append(Span(LATE, None, facts["begin"], facts["end"]))
            case "figures":
                evidence.granted_at.append((facts["at"], facts["granted"]))
            case "end":
                evidence.checker = facts
            case "findings":
                evidence.oracle = facts

    async def _pulse(self) -> None:
        """All workers' connections go through this loop."""
        pulse = Pulse(lambda begin, end: self._record.slow(None, begin, end))
        while True:
            await asyncio.sleep(Pulse.PERIOD)
            pulse.beat()

    async def _harm(self, fleet: Fleet, faults: ServerFaults) -> None:
        self._measure(fleet, faults)
        began, lease = time.monotonic(), LEASE
        await asyncio.sleep(lease)

        async def worker_lane(number: int) -> None:
            for fault in plan(f"{self._seed}-{number}", WORKER_KINDS, self._seconds, lease):
                await _until(began, fault)
                await inflict(fleet.workers[number], fault, self._record)

        async def server_lane() -> None:
            for fault in plan(f"{self._seed}-server", SERVER_KINDS, self._seconds, lease):
                await _until(began, fault)
                if time.monotonic() < began + self._seconds:
                    await faults.inflict(fault)
                    await asyncio.sleep(lease)

        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(server_lane())
            for number in range(self._processes):
                lanes.create_task(worker_lane(number))

    async def _settle(
        self, fleet: Fleet, faults: ServerFaults, control: AsyncLOCOScheduler
    ) -> None:
        """No more faults: everybody finishes, and nothing may be left."""
        await faults.restore()
        await asyncio.gather(*(worker.opened.wait() for worker in fleet.workers))
        await fleet.drain(_DRAIN_WITHIN)
        await self._until(lambda dump: dump.tasks.keys() <= dump.dead.keys(), _DRAIN_WITHIN)
        self._measure(fleet, faults)
        await fleet.finish(_FINISH_WITHIN)
        alone = {control.session_id}
        await self._until(
            lambda dump: {name.decode() for name in dump.sessions} == alone, _REST_WITHIN
        )
        await control.aclose()
        last = await self._look()
        self._evidence.dead = {task.decode() for task in last.dead}
        self._evidence.left += [f"session {name!r}" for name in last.sessions]
        try:
            invariants.check_at_rest(last)
        except invariants.InvariantViolation as error:
            self._evidence.left += error.rows
        await asyncio.to_thread(faults.meter.read)

    async def _look(self) -> Dump:
        return parse(await asyncio.to_thread(dump, self._server.client, Scripts(NAME)))

    async def _until(self, condition: Any, timeout: float) -> None:
        """As long as it takes, up to `timeout`; what does not come true is seen at the end."""
        deadline = time.monotonic() + timeout
        while not condition(await self._look()):
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(0.1)

    def _measure(self, fleet: Fleet, faults: ServerFaults) -> None:
        used, resident = faults.meter.memory()
        workers = [worker.process.rss for worker in fleet.workers]
        self._evidence.memory.append((used, resident, workers))

    def _collect(self, fleet: Fleet, faults: ServerFaults, log: IO[bytes]) -> None:
        evidence, meter = self._evidence, faults.meter
        evidence.violations += fleet.violations
        evidence.killed, evidence.opened_at = fleet.killed, fleet.opened_at
        evidence.workers_by_pid = fleet.workers_by_pid
        evidence.finishing_at, evidence.stuck = fleet.finishing_at, fleet.stuck
        evidence.outcomes, evidence.up = dict(fleet.outcomes), faults.up
        evidence.server += f" ({self._server.version})"
        evidence.scripts = {
            "calls": meter.calls,
            "p50": meter.p50,
            "p99": meter.p99,
            "max": meter.longest,
        }
        log.seek(0)
        said = log.read().decode(errors="replace")
        if (at := said.find("Traceback")) >= 0:
            around = said[max(0, at - 500) : at + 3000]
            evidence.violations.append((evidence.finishing_at, f"a traceback: {around}"))


async def _until(began: float, fault: Planned) -> None:
    await asyncio.sleep(max(0.0, began + fault.at - time.monotonic()))
