"""The semaphore of self-limiters: a list of tokens, BLPOP and RPUSH, written in Rust."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from self_limiters import Semaphore

from benchmarks.peers.ways.slot import Slot


@asynccontextmanager
async def as_in_readme(url: str, name: str, slots: int, tasks: int) -> AsyncIterator[Slot]:
    """As its README shows, also for its decorator: a semaphore is made where it is entered."""
    yield lambda _: Semaphore(name=name, capacity=slots, max_sleep=60, redis_url=url)


@asynccontextmanager
async def kept(url: str, name: str, slots: int, tasks: int) -> AsyncIterator[Slot]:
    """One semaphore object, with its connections, kept for all uses."""
    semaphore = Semaphore(name=name, capacity=slots, max_sleep=60, redis_url=url)
    yield lambda _: semaphore
