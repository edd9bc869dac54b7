"""A forked child shares sockets with its parent and must not use them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.schedulers import NAME
from tests.workers import ROOT

ASYNC = """
import asyncio, os, sys
from loco_redis import AsyncLOCOScheduler, ForkedError, SharedResource

async def main():
    scheduler = AsyncLOCOScheduler([], SharedResource({name!r}, 1), redis={url!r}, lease_ttl=0.4)
    async with scheduler:
        async with scheduler.acquire("parent") as lease:
            child = os.fork()
            if not child:
                refused = 0
                assert "forked" in repr(scheduler)
                for call in (scheduler.snapshot, lambda: scheduler.submit_task("a"),
                             scheduler.acquire("child").__aenter__, scheduler.shutdown):
                    try:
                        call().send(None)
                    except ForkedError:
                        refused += 1
                os._exit(refused)
            status = await asyncio.to_thread(os.waitpid, child, 0)
            assert os.waitstatus_to_exitcode(status[1]) == 4, status
            ledger, before = lease._ledger, lease._ledger.deadline
            while ledger.deadline <= before + 0.4:
                await asyncio.sleep(0.01)
            assert not lease.lost
        assert (await scheduler.snapshot()).released == 1

asyncio.run(main())
print("parent unharmed")
"""

BLOCKING = """
import os
from loco_redis import ForkedError, LOCOScheduler, SharedResource

scheduler = LOCOScheduler([], SharedResource({name!r}, 1), redis={url!r})
with scheduler.acquire("parent"):
    child = os.fork()
    if not child:
        try:
            scheduler.snapshot()
        except ForkedError:
            scheduler.close()
            with LOCOScheduler([], SharedResource("own", 1), redis={url!r}) as own:
                with own.acquire("child"):
                    os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert scheduler.snapshot().released == 1
scheduler.close()
print("parent unharmed")
"""


@pytest.mark.parametrize("program", [ASYNC, BLOCKING], ids=["async", "blocking"])
def test_child_is_refused_and_parent_unharmed(redis_url: str, program: str) -> None:
    """Every use in the child raises ForkedError; its exit closes nothing of the parent's."""
    source = program.format(name=NAME, url=redis_url)
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert done.stdout == "parent unharmed\n", done.stderr
