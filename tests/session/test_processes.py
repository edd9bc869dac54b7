"""Several processes share fairly; how they die is in tests/faults/test_workers.py."""

from __future__ import annotations

import asyncio

from tests.schedulers import Schedulers
from tests.workers import Workers

LEASE = 0.6


async def test_two_processes_share(schedulers: Schedulers, workers: Workers) -> None:
    """Each token is given once, over all processes; nobody holds a slot that another holds."""
    async with schedulers(capacity=2, lease_ttl=LEASE) as scheduler:
        crews = [workers(f"agent-{index}", 100, LEASE) for index in range(3)]
        told = [await asyncio.to_thread(crew.rest) for crew in crews]
        tokens = [fact["token"] for facts in told for fact in facts if fact["event"] == "held"]
        assert len(tokens) == len(set(tokens)) == 300
        snapshot = await scheduler.snapshot()
        assert snapshot.peak <= 2
        assert (snapshot.granted, snapshot.released, snapshot.reclaimed) == (300, 300, 0)
