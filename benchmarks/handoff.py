"""How long from a release in one process until a body runs in another, that waits?

Two processes pass the only slot to and fro, and in alternation with that a bare pub/sub message:
redis-py's asyncio client, publish in one process to the message's arrival in the other. The times
are of CLOCK_MONOTONIC, which processes share.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from statistics import median, quantiles

import redis.asyncio

from benchmarks import server
from benchmarks.figure import Figure, Must
from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis._server import EmbeddedServer

#: Seconds a body runs, and a message is kept: time for the other process to wait, asleep.
HOLD = 0.003
#: Seconds until a process that has released asks again: as after a message, it is quiet meanwhile.
PAUSE = 0.001

#: What a process notes: (number in the order of all, "sent" or "got", ns).
Note = tuple[int, str, int]


async def _pass_slot(scheduler: AsyncLOCOScheduler, agent: str, times: int) -> list[Note]:
    """Hold the slot `times` times; the fencing tokens order the notes of both processes."""
    notes: list[Note] = []
    for _ in range(times):
        async with scheduler.acquire(agent, weight=1.0) as lease:
            notes.append((lease.token, "got", time.monotonic_ns()))
            await asyncio.sleep(HOLD)
            notes.append((lease.token, "sent", time.monotonic_ns()))
        await asyncio.sleep(PAUSE)
    return notes


async def _pass_message(
    url: str, me: int, times: int, ready: Callable[[], Awaitable[None]]
) -> list[Note]:
    """Process 0 sends the even messages, process 1 the odd ones, each when it has got the last."""
    notes: list[Note] = []
    async with redis.asyncio.Redis.from_url(url) as client, client.pubsub() as pubsub:
        await pubsub.subscribe(f"to_{me}")
        messages = pubsub.listen()
        await anext(messages)  # the confirmation
        await client.ping()
        await ready()
        for turn in range(times):
            number = 2 * turn + me
            if number > 0:
                await anext(messages)
                notes.append((number - 1, "got", time.monotonic_ns()))
            await asyncio.sleep(HOLD)
            notes.append((number, "sent", time.monotonic_ns()))
            await client.publish(f"to_{1 - me}", b"%d" % number)
    return notes


async def _serve(url: str, me: int, pipe: Connection) -> None:
    """Do what the parent says until it says nothing: ("slot" or "message", times)."""

    async def ready() -> None:
        pipe.send("ready")
        await asyncio.to_thread(pipe.recv)

    resource = SharedResource("handoff", capacity=1)
    async with AsyncLOCOScheduler([], resource, redis=url) as scheduler:
        while order := await asyncio.to_thread(pipe.recv):
            what, times = order
            if what == "slot":
                await ready()
                pipe.send(await _pass_slot(scheduler, f"process_{me}", times))
            else:
                pipe.send(await _pass_message(url, me, times, ready))


def _process(url: str, me: int, pipe: Connection) -> None:
    asyncio.run(_serve(url, me, pipe))


@contextmanager
def _pair(url: str) -> Iterator[list[Connection]]:
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for me in (0, 1):
        ours, theirs = context.Pipe()
        process = context.Process(target=_process, args=(url, me, theirs))
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    try:
        yield pipes
        for pipe in pipes:
            pipe.send(None)
    finally:
        for process in processes:
            process.join(10)
            process.kill()


def _block(pipes: list[Connection], what: str, times: int) -> list[float]:
    """Microseconds of each hand-off from one process to the other, in one block."""
    for pipe in pipes:
        pipe.send((what, times))
    for pipe in pipes:
        assert pipe.recv() == "ready"
    for pipe in pipes:
        pipe.send("go")
    sent: dict[int, tuple[int, int]] = {}  # number -> process, moment
    got: dict[int, tuple[int, int]] = {}
    for me, pipe in enumerate(pipes):
        for number, kind, moment in pipe.recv():
            (sent if kind == "sent" else got)[number] = (me, moment)
    # A slot that is released under one token is got under the next; a message keeps its number.
    order = sorted(sent)
    pairs = zip(order, order[1:] if what == "slot" else order, strict=False)
    return [
        (got[after][1] - sent[before][1]) / 1000
        for before, after in pairs
        if after in got and got[after][0] != sent[before][0]
    ]


def run(process: EmbeddedServer, *, blocks: int = 9, times: int = 50) -> list[Figure]:
    """One row: the median, over the blocks, of the ratio of the two medians."""
    with server.connected(process), _pair(process.url) as pipes:
        for what in ("slot", "message"):
            _block(pipes, what, 5)  # connections, scripts
        slots, messages = [], []
        for _ in range(blocks):
            slots.append(_block(pipes, "slot", times))
            messages.append(_block(pipes, "message", times))
    ratio = median(median(s) / median(m) for s, m in zip(slots, messages, strict=True))
    return [
        Figure(
            "release in one process -> body runs in another, p50, against a bare pub/sub one-way",
            ratio,
            "x",
            Must(2.5),
            f"{_percentiles(slots)} against {_percentiles(messages)}",
        )
    ]


def _percentiles(blocks: list[list[float]]) -> str:
    every = [delay for block in blocks for delay in block]
    cuts = quantiles(every, n=100, method="inclusive")
    return f"p50 {cuts[49]:.0f} us, p99 {cuts[98]:.0f} us"
