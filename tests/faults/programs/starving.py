"""A program that opens files until it may open no more, and uses its scheduler all the while.

    python starving.py URL LEASE

Tells facts line by line on stdout, as JSON, and goes on by a line on stdin where it says so.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import threading
import time

from loco_redis import AsyncLOCOScheduler, BackendError, LOCOScheduler, SharedResource

MOST = 64  # descriptors that this process may have
PATIENCE = 1.0


class Hog:
    """Takes every descriptor that is free, and each that becomes free, until `end`."""

    def __init__(self) -> None:
        self._taken: list[int] = []
        self._ended = threading.Event()
        self._full = threading.Event()
        self._thread = threading.Thread(target=self._take)
        self._thread.start()
        self._full.wait()

    def _take(self) -> None:
        while not self._ended.is_set():
            try:
                self._taken.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                self._full.set()
                self._ended.wait(0.0005)

    def end(self) -> None:
        self._ended.set()
        self._thread.join()
        for descriptor in self._taken:
            os.close(descriptor)


def tell(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


async def told() -> None:
    await asyncio.to_thread(sys.stdin.readline)


def one(url: str, lease: float, capacity: int | None = None) -> AsyncLOCOScheduler:
    shared = SharedResource("llm", capacity)
    return AsyncLOCOScheduler(
        [], shared, redis=url, lease_ttl=lease, backend_timeout=PATIENCE, on_lost="warn"
    )


async def refusal(scheduler: AsyncLOCOScheduler) -> dict[str, object]:
    """How an acquire ends that cannot reach Redis."""
    began = time.monotonic()
    try:
        await scheduler.acquire_start("nobody", nested="allow")
    except BackendError as error:
        return {"error": type(error).__name__, "after": time.monotonic() - began, "why": str(error)}
    return {"error": "none", "after": time.monotonic() - began, "why": ""}


def blocking_refusal(url: str) -> dict[str, str]:
    scheduler = LOCOScheduler([], SharedResource("llm", None), redis=url, backend_timeout=PATIENCE)
    try:
        scheduler.acquire_start("nobody")
    except BackendError as error:
        return {"error": type(error).__name__, "why": str(error)}
    return {"error": "none", "why": ""}


async def main(url: str, lease: float) -> None:
    await asyncio.to_thread(int)  # its executor has a thread from here on
    embedded, other = one("embedded://", lease, capacity=1), one(url, lease)
    async with one(url, lease) as scheduler:
        async with scheduler.acquire("steady") as steady:
            hog = Hog()
            ends, passed = time.monotonic() + 3 * lease, 0
            while time.monotonic() < ends:
                async with scheduler.acquire("a", nested="allow"):
                    passed += 1
            tell(event="open", passed=passed, lost=steady.lost, uncertain=steady.uncertain)
            tell(event="new", **await refusal(other))
            tell(event="embedded", **await refusal(embedded))
            tell(event="blocking", **await asyncio.to_thread(blocking_refusal, url))
            tell(event="cut me")
            await told()
            tell(event="cut", **await refusal(scheduler))
            hog.end()
            freed = time.monotonic()
            for anew in (scheduler, other):
                handle = await anew.acquire_start("again", nested="allow")
                tell(event="again", after=time.monotonic() - freed, lost=steady.lost)
                await anew.release_handle(handle)
            handle = await embedded.acquire_start("again", nested="allow")
            tell(event="again", after=time.monotonic() - freed, lost=steady.lost)
            await embedded.release_handle(handle)
    for anew in (other, embedded):
        await anew.aclose()
    tell(event="closed")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST, MOST))
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
