"""Faults of the server, and what operators do."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable

import redis

from loco_redis import AsyncLOCOScheduler, LocoRedisError
from loco_redis._scripts import Scripts
from tests.soak.meter import Meter
from tests.soak.plan import Planned
from tests.soak.record import Record
from tests.soak.server import SoakServer

_BUSY = """
local began = os.clock()
while os.clock() - began < tonumber(ARGV[1]) do end
"""
_MOVING_WITHIN = 5.0
_PATIENCE = 30.0


class ServerFaults:
    """Does one after the other.

    Attributes:
        up: the moments at which a server answered that had been killed.
    """

    def __init__(
        self, server: SoakServer, control: AsyncLOCOScheduler, capacity: int, record: Record
    ) -> None:
        self._server, self._control, self._capacity = server, control, capacity
        self._record = record
        self._vars = Scripts(control.name).keys.vars
        self.meter = Meter(server)
        self.up: list[float] = []

    async def inflict(self, fault: Planned) -> None:
        with self._record.during(fault.kind):
            match fault.kind:
                case "server_killed" | "server_emptied":
                    await self._kill(fault)
                case "flushall":
                    await self._do("FLUSHALL")
                case "clients_killed":
                    kind = "normal" if fault.luck < 0.6 else "pubsub"
                    await self._do("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
                case "script_flush":
                    await self._flush_scripts(fault.lasts)
                case "full":
                    await self._do("CONFIG", "SET", "maxmemory", "1")
                    await asyncio.sleep(fault.lasts)
                    await self._do("CONFIG", "SET", "maxmemory", "0")
                case "resized" | "paused":
                    await self._operate(fault)
                case _:
                    await self._halt(fault)
                    await self._moving()

    async def _kill(self, fault: Planned) -> None:
        await asyncio.to_thread(self.meter.read)
        await asyncio.to_thread(self._server.kill)
        if fault.kind == "server_emptied":
            await asyncio.to_thread(self._server.empty)
        await asyncio.sleep(fault.lasts)
        await asyncio.to_thread(self._server.start)
        await asyncio.to_thread(self.meter.prepare)
        self.up.append(time.monotonic())
        await self._moving()

    async def _halt(self, fault: Planned) -> None:
        """What lets no script write for a while."""
        match fault.kind:
            case "busy":
                await self._do("EVAL", _BUSY, "0", str(fault.lasts))
            case "read_only":
                await self._do("REPLICAOF", "127.0.0.1", "1")
                await asyncio.sleep(fault.lasts)
                await self._do("REPLICAOF", "NO", "ONE")
            case "server_stopped":
                self._server.signal(signal.SIGSTOP)
                await asyncio.sleep(fault.lasts)
                self._server.signal(signal.SIGCONT)
            case _:
                raise ValueError(f"no such fault of a server: {fault.kind}")

    async def _flush_scripts(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await self._do("SCRIPT", "FLUSH")
            await asyncio.sleep(0.01)

    async def _operate(self, fault: Planned) -> None:
        control = self._control
        if fault.kind == "paused":
            await self._persist(control.operations.pause)
            await asyncio.sleep(fault.lasts)
        else:
            capacity = max(1, self._capacity + (-2, -1, 1, 2)[int(4 * fault.luck)])
            await self._persist(lambda: control.reconfigure(capacity=capacity))
            await asyncio.sleep(fault.lasts)
        await self.restore()

    async def restore(self) -> None:
        """The configuration as it was at first."""
        await self._persist(
            lambda: self._control.reconfigure(capacity=self._capacity, paused=False)
        )

    async def _persist(self, ask: Callable[[], Awaitable[int]]) -> None:
        """Until it is known to be done; repeating it does no harm."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                await ask()
                return
            except LocoRedisError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)

    async def _moving(self) -> None:
        """Return when a script has written again: until then the lease clock stands still."""
        before, deadline = await self._serial(), time.monotonic() + _MOVING_WITHIN
        while await self._serial() == before:
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(0.01)

    async def _serial(self) -> bytes | None:
        with contextlib.suppress(redis.RedisError):
            return await asyncio.to_thread(self._server.client.hget, self._vars, "counters")  # type: ignore[arg-type]
        return None

    async def _do(self, *words: str) -> None:
        client = self._server.client
        await asyncio.to_thread(client.execute_command, *words)
