"""Faults of one worker, or of its connections."""

from __future__ import annotations

import asyncio
import signal

from loco_redis._scripts import Scripts
from tests.soak.fleet import Worker
from tests.soak.plan import Planned
from tests.soak.record import Record

_VERBS = ("acquire", "release", "several", "heartbeat", "submit", "cancel", "settle", "open")
_SHAS = tuple(Scripts("soak").sha(verb) for verb in _VERBS)


async def inflict(worker: Worker, fault: Planned, record: Record) -> None:
    """Do it, and undo it after its time."""
    if fault.kind == "killed":
        await worker.kill()
        await worker.start()
        return
    with record.during(fault.kind, worker.number, worker.process.pid):
        match fault.kind:
            case "stopped":
                await _stop(worker, fault.lasts)
            case "blocked":
                worker.process.tell(f"block {fault.lasts}")
                await asyncio.sleep(fault.lasts)
            case "cancelled":
                worker.process.tell(f"cancel {1 + int(10 * fault.luck)}")
            case _:
                await _disturb(worker, fault)


async def _stop(worker: Worker, seconds: float) -> None:
    worker.process.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        worker.process.signal(signal.SIGCONT)


async def _disturb(worker: Worker, fault: Planned) -> None:
    """What happens to its connections."""
    proxy = worker.proxy
    verb = _SHAS[int(fault.luck * len(_SHAS))]
    times = 1 + int(fault.luck * 97) % 5
    match fault.kind:
        case "cut":
            proxy.cut()
        case "half_open":
            proxy.half_open()
        case "replies_lost":
            proxy.lose_reply_of(verb, times)
            await asyncio.sleep(fault.lasts)
        case "repeated":
            for _ in range(times):
                proxy.repeat(verb)
            await asyncio.sleep(fault.lasts)
        case "stalled":
            proxy.stall()
            await asyncio.sleep(fault.lasts)
            proxy.flow()
        case "silent":
            proxy.silent = True
            await asyncio.sleep(fault.lasts)
            # Nothing may be missing from a connection that goes on, so none does.
            proxy.cut()
            proxy.silent = False
        case "muted":
            proxy.mute = b"SUBSCRIBE"
            proxy.cut()
            await asyncio.sleep(fault.lasts)
            proxy.mute = None
            proxy.cut()
        case _:
            raise ValueError(f"no such fault of a worker: {fault.kind}")
