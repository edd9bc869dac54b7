"""How many grants a second does one process get? 50 tasks on 4 slots with empty bodies.

Each peer is used as its documents show; how much a peer gains when it is used with more care is
reported beside it. All run on one server over TCP, one after the other in each round; a ratio is
the median over the rounds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from itertools import count
from statistics import median
from types import TracebackType

import redis.asyncio
from self_limiters import Semaphore

from benchmarks import server
from benchmarks.figure import Figure, Must, spread
from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis._server import EmbeddedServer

SLOTS = 4
#: From a task's number to what the task enters around its body.
Slot = Callable[[int], AbstractAsyncContextManager[object]]

_names = count()


@asynccontextmanager
async def ours(url: str, tasks: int) -> AsyncIterator[Slot]:
    """The public API; each task is an agent of its own."""
    resource = SharedResource(f"throughput_{next(_names)}", capacity=SLOTS)
    async with AsyncLOCOScheduler([], resource, redis=url) as scheduler:
        yield lambda task: scheduler.acquire(f"agent_{task}", weight=1.0)


@asynccontextmanager
async def self_limiters(url: str, tasks: int) -> AsyncIterator[Slot]:
    """As its README shows, also for its decorator: a semaphore is made where it is entered."""
    name = f"readme_{next(_names)}"
    yield lambda _: Semaphore(name=name, capacity=SLOTS, max_sleep=60, redis_url=url)


@asynccontextmanager
async def self_limiters_kept(url: str, tasks: int) -> AsyncIterator[Slot]:
    """One semaphore object, with its connections, kept for all uses."""
    name = f"kept_{next(_names)}"
    semaphore = Semaphore(name=name, capacity=SLOTS, max_sleep=60, redis_url=url)
    yield lambda _: semaphore


@asynccontextmanager
async def blpop(url: str, tasks: int) -> AsyncIterator[Slot]:
    """redis-py, one client with its pool of connections."""
    async with redis.asyncio.Redis.from_url(url) as client:
        tokens = await _Tokens.make(client)
        yield lambda _: tokens


@asynccontextmanager
async def blpop_dedicated(url: str, tasks: int) -> AsyncIterator[Slot]:
    """redis-py, a client with one connection for each task: no pool."""
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                redis.asyncio.Redis.from_url(url, single_connection_client=True)
            )
            for _ in range(tasks)
        ]
        first = await _Tokens.make(clients[0])
        tokens = [_Tokens(client, first.key) for client in clients]
        yield lambda task: tokens[task]


class _Tokens:
    """A list of SLOTS tokens: no lease, no order among agents, no account."""

    def __init__(self, client: redis.asyncio.Redis, key: str) -> None:
        self._client, self.key = client, key

    @classmethod
    async def make(cls, client: redis.asyncio.Redis) -> _Tokens:
        key = f"tokens_{next(_names)}"
        await client.rpush(key, *range(SLOTS))
        return cls(client, key)

    async def __aenter__(self) -> None:
        await self._client.blpop(self.key)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.rpush(self.key, b"token")


# It connects anew for every use; as many uses as the others have would wear out the ports of the
# machine and make it slower than it is.
_FEWER = {self_limiters.__name__: 5}

CONTENDERS = (ours, self_limiters, self_limiters_kept, blpop, blpop_dedicated)


async def grants_per_second(slot: Slot, tasks: int, grants: int) -> float:
    """Let `tasks` tasks enter and leave until `grants` bodies have run.

    Raises:
        AssertionError: more than SLOTS bodies at once.
    """
    left, inside = grants, 0

    async def work(task: int) -> None:
        nonlocal left, inside
        while left > 0:
            left -= 1
            async with slot(task):
                inside += 1
                assert inside <= SLOTS
                inside -= 1

    began = time.perf_counter()
    await asyncio.gather(*(work(task) for task in range(tasks)))
    return grants / (time.perf_counter() - began)


async def _rounds(url: str, rounds: int, tasks: int, grants: int) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {contender.__name__: [] for contender in CONTENDERS}
    async with AsyncExitStack() as stack:
        slots = {
            contender.__name__: await stack.enter_async_context(contender(url, tasks))
            for contender in CONTENDERS
        }
        for slot in slots.values():  # connections, scripts
            await grants_per_second(slot, tasks, 2 * tasks)
        for _ in range(rounds):
            for name, slot in slots.items():
                share = grants // _FEWER.get(name, 1)
                rates[name].append(await grants_per_second(slot, tasks, share))
    return rates


def run(
    process: EmbeddedServer, *, rounds: int = 9, tasks: int = 50, grants: int = 3000
) -> list[Figure]:
    """A row for each peer, and for each peer used with more care."""
    with server.connected(process):
        rates = asyncio.run(_rounds(process.url, rounds, tasks, grants))
    question = f"grants/s in one process, {tasks} tasks on {SLOTS} slots, against"

    def row(peer: Callable[..., object], label: str, must: Must | None) -> Figure:
        mine, theirs = rates[ours.__name__], rates[peer.__name__]
        ratio = median(a / b for a, b in zip(mine, theirs, strict=True))
        detail = (
            f"{median(mine):,.0f}/s ({spread(mine)}) against "
            f"{median(theirs):,.0f}/s ({spread(theirs)})"
        )
        return Figure(f"{question} {label}", ratio, "x", must, detail)

    return [
        row(self_limiters, "self-limiters, as in its README", Must(2.5, at_least=True)),
        row(self_limiters_kept, "self-limiters, one object kept", None),
        row(blpop, "a bare BLPOP token list", Must(1, at_least=True)),
        row(blpop_dedicated, "the same with a connection for each task", None),
    ]
