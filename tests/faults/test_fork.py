"""A forked child shares sockets with its parent and must not use them."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from tests.faults.conftest import Seen
from tests.schedulers import dump_of
from tests.servers import Server
from tests.workers import ROOT

HEAD = """
import asyncio, json, os, sys, time
from contextlib import suppress
from loco_redis import *
from loco_redis.governance import BudgetPolicy

URL, LEASE = sys.argv[1], 1.5
SHARED = SharedResource("llm", 2)

def tell(**facts):
    print(json.dumps(facts), flush=True)

def status(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def renewed(core):
    # Whether a heartbeat has got through that was sent two leases from now, or later.
    goal = time.monotonic() + 3 * LEASE
    return lambda: core._session.ledger.deadline > goal
"""

ASYNC = """
async def work(scheduler):
    while True:
        async with scheduler.acquire("worker", nested="allow"):
            await asyncio.sleep(0.001)

def refused(calls):
    for name, call in calls.items():
        try:
            call().send(None)
        except ForkedError:
            continue
        print("not refused:", name, file=sys.stderr)
        return 0
    return len(calls)

def in_child(scheduler, lease, handle):
    assert "forked" in repr(scheduler)
    return refused({
        "acquire": scheduler.acquire("child").__aenter__,
        "acquire_start": lambda: scheduler.acquire_start("child"),
        "release_handle": lambda: scheduler.release_handle(handle),
        "settle": lambda: lease.settle(1.0),
        "throttled": lambda: lease.throttled(1.0),
        "submit_task": lambda: scheduler.submit_task("a"),
        "cancel_task": lambda: scheduler.cancel_task("x:000000000001"),
        "register_agent": lambda: scheduler.register_agent(Agent("a")),
        "unregister_agent": lambda: scheduler.unregister_agent("a"),
        "get_agent": lambda: scheduler.get_agent("a"),
        "set_max_concurrency": lambda: scheduler.set_max_concurrency("a", 1),
        "snapshot": scheduler.snapshot,
        "reconfigure": lambda: scheduler.reconfigure(capacity=9),
        "shutdown": scheduler.shutdown,
        "budget": scheduler.budget.summary,
        "operations": scheduler.operations.pause,
        "metrics": scheduler.metrics.cost_by_agent,
    })

async def main():
    scheduler = AsyncLOCOScheduler(
        [], SHARED, redis=URL, lease_ttl=LEASE, budget=BudgetPolicy(limits={"a": 5.0})
    )
    async with scheduler:
        await scheduler.reconfigure(capacity=3)
        handle = await scheduler.acquire_start("handle")
        async with scheduler.acquire("parent") as lease:
            passing = asyncio.create_task(work(scheduler))
            children = 0
            for _ in range(10):
                await asyncio.sleep(0.003)
                child = os.fork()
                if not child:
                    os._exit(in_child(scheduler, lease, handle))
                children += 1
                calls = await asyncio.to_thread(status, child)
            before = (await scheduler.snapshot()).released
            kept = renewed(scheduler)
            while not kept():
                await asyncio.sleep(0.01)
            snapshot = await scheduler.snapshot()
            tell(children=children, calls=calls, passed=snapshot.released - before,
                 lost=lease.lost or handle.lease.lost, reclaimed=snapshot.reclaimed)
            passing.cancel()
            await asyncio.wait([passing])
        await scheduler.release_handle(handle)

asyncio.run(main())
"""

BLOCKING = """
def in_child(scheduler, lease, handle):
    refused = 0
    for call in (
        lambda: scheduler.acquire("child").__enter__(),
        lambda: scheduler.acquire_start("child"),
        lambda: scheduler.release_handle(handle),
        lambda: lease.settle(1.0),
        lambda: lease.throttled(1.0),
        lambda: scheduler.submit_task("a"),
        lambda: scheduler.cancel_task("x:000000000001"),
        lambda: scheduler.register_agent(Agent("a")),
        lambda: scheduler.unregister_agent("a"),
        lambda: scheduler.get_agent("a"),
        lambda: scheduler.set_max_concurrency("a", 1),
        lambda: scheduler.snapshot(),
        lambda: scheduler.reconfigure(capacity=9),
        lambda: scheduler.shutdown(),
        lambda: scheduler.budget.summary(),
        lambda: scheduler.operations.pause(),
        lambda: scheduler.metrics.cost_by_agent(),
    ):
        with suppress(ForkedError):
            call()
            return 0
        refused += 1
    scheduler.close()
    with LOCOScheduler([], SharedResource("own", 1), redis=URL) as own, own.acquire("child"):
        return refused

scheduler = LOCOScheduler(
    [], SHARED, redis=URL, lease_ttl=LEASE, budget=BudgetPolicy(limits={"a": 5.0})
)
scheduler.reconfigure(capacity=3)
handle = scheduler.acquire_start("handle")
with scheduler.acquire("parent") as lease:
    child = os.fork()
    if not child:
        os._exit(in_child(scheduler, lease, handle))
    calls, passed, ends = status(child), 0, time.monotonic() + 2 * LEASE
    while time.monotonic() < ends:
        with scheduler.acquire("more", nested="allow"):
            passed += 1
    tell(children=1, calls=calls, passed=passed, lost=lease.lost or handle.lease.lost,
         reclaimed=scheduler.snapshot().reclaimed)
scheduler.release_handle(handle)
scheduler.close()
"""


def run(server: Server, program: str, *ways: str) -> list[dict[str, Any]]:
    """What a program tells. It must end by itself, without a word on stderr."""
    source = HEAD + textwrap.dedent(program)
    done = subprocess.run(
        # Python 3.12 warns of any fork while there are threads.
        [sys.executable, "-W", "ignore", "-c", source, server.url, *ways],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert not dump_of(server).sessions
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("program", [ASYNC, BLOCKING], ids=["async", "blocking"])
def test_fork_and_use(server: Server, program: str, seen: Seen) -> None:
    """Every use in the child raises ForkedError; its parent's work goes on."""
    (facts,) = run(server, program)
    assert facts["calls"] == 17
    assert facts["passed"] > 0
    assert (facts["lost"], facts["reclaimed"]) == (False, 0)
    seen(
        f"{facts['children']} children forked, each tried {facts['calls']} methods of its parent's "
        "scheduler",
        f"ForkedError from all; {facts['passed']} passages of the parent afterwards, 0 leases lost",
    )


LEFT_ASYNC = """
async def main():
    async with AsyncLOCOScheduler([], SHARED, redis=URL, lease_ttl=LEASE) as scheduler:
        for way in sys.argv[2:]:
            async with scheduler.acquire("parent") as lease, scheduler.acquire("b", nested="allow"):
                child = os.fork()
                if not child:
                    sys.stderr = open(os.devnull, "w")
                    if way == "exit":
                        sys.exit(3)
                    if way == "error":
                        raise ValueError("of the child")
                    return "child"
                while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
                    await asyncio.sleep(0.01)
                began = time.monotonic()
                snapshot = await scheduler.snapshot()
                took = time.monotonic() - began
                kept = renewed(scheduler)
                while not kept():
                    await asyncio.sleep(0.01)
                tell(way=way, code=os.waitstatus_to_exitcode(ended[1]), held=snapshot.held,
                     lost=lease.lost, took=took)
            assert (await scheduler.snapshot()).held == 0

asyncio.run(main())
"""

LEFT_BLOCKING = """
import gc

def main():
    with LOCOScheduler([], SHARED, redis=URL, lease_ttl=LEASE) as scheduler:
        for way in sys.argv[2:]:
            with scheduler.acquire("parent") as lease, scheduler.acquire("b", nested="allow"):
                child = os.fork()
                if not child:
                    sys.stderr = open(os.devnull, "w")
                    if way == "exit":
                        sys.exit(3)
                    if way == "error":
                        raise ValueError("of the child")
                    scheduler._core._session = None  # what is dropped is finalized
                    gc.collect()
                    return "child"
                code = status(child)
                began = time.monotonic()
                snapshot = scheduler.snapshot()
                took = time.monotonic() - began
                kept = renewed(scheduler._core)
                while not kept():
                    time.sleep(0.01)
                tell(way=way, code=code, held=snapshot.held, lost=lease.lost, took=took)
            assert scheduler.snapshot().held == 0

main()
"""


@pytest.mark.parametrize("program", [LEFT_ASYNC, LEFT_BLOCKING], ids=["async", "blocking"])
def test_fork_and_leave(server: Server, program: str, seen: Seen) -> None:
    """A child that unwinds what its parent has entered (by sys.exit, by an error, by returning)
    gives back nothing of its parent's, takes no reply from it, and leaves it its event loop's
    connections."""
    facts = run(server, program, "exit", "error", "return")
    assert [(fact["way"], fact["code"]) for fact in facts] == [
        ("exit", 3),
        ("error", 1),
        ("return", 0),
    ]
    assert [(fact["held"], fact["lost"]) for fact in facts] == [(2, False)] * 3
    slowest = max(fact["took"] for fact in facts)
    assert slowest < 2.0
    seen(
        "3 children left their parent's with-blocks: by sys.exit, by an error, by returning",
        f"0 leases released or lost; the parent's next call took {slowest * 1000:.0f} ms at most",
    )


CHILDREN = """
import multiprocessing, subprocess

forking = multiprocessing.get_context("fork")

def child(told):
    shared = SharedResource("llm", None)
    with LOCOScheduler([], shared, redis=URL, lease_ttl=LEASE) as own:
        for _ in range(50):
            with own.acquire(f"child-{os.getpid()}") as lease:
                told.put(lease.token)

def family(parent):
    told = forking.SimpleQueue()
    children = [forking.Process(target=child, args=(told,)) for _ in range(4)]
    for one in children:
        one.start()
    tokens = [told.get() for _ in range(200)]
    for one in children:
        one.join()
    tell(kind=parent, codes=[one.exitcode for one in children], tokens=len(set(tokens)))

LISTING = '''
import os
links = [f"/proc/self/fd/{n}" for n in os.listdir("/proc/self/fd")]
print(sum(os.path.islink(link) and "socket" in os.readlink(link) for link in links))
'''

async def main():
    async with AsyncLOCOScheduler([], SHARED, redis=URL, lease_ttl=LEASE) as scheduler:
        async with scheduler.acquire("parent") as lease:
            family("async parent")
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", LISTING, stdout=subprocess.PIPE
            )
            told, _ = await process.communicate()
            tell(kind="subprocess", sockets=int(told), codes=[process.returncode])
            tell(kind="parent", lost=lease.lost, peak=(await scheduler.snapshot()).peak)

asyncio.run(main())
with LOCOScheduler([], SHARED, redis=URL, lease_ttl=LEASE) as scheduler:
    with scheduler.acquire("parent") as lease:
        family("blocking parent")
        tell(kind="parent", lost=lease.lost, peak=scheduler.snapshot().peak)
"""


def test_fork_of_workers(server: Server, seen: Seen) -> None:
    """Forked workers that open schedulers of their own, as prefork servers and multiprocessing
    make them, share the slots with their parent. A subprocess inherits no socket."""
    facts = run(server, CHILDREN)
    families = [fact for fact in facts if "tokens" in fact]
    assert [fact["tokens"] for fact in families] == [200, 200]
    assert all(code == 0 for fact in facts for code in fact.get("codes", []))
    assert [fact["sockets"] for fact in facts if fact["kind"] == "subprocess"] == [0]
    parents = [fact for fact in facts if fact["kind"] == "parent"]
    assert [(fact["lost"], fact["peak"]) for fact in parents] == [(False, 2), (False, 2)]
    assert dump_of(server).number("reclaimed") == 0
    tokens = sum(fact["tokens"] for fact in families)
    seen(
        f"{4 * len(families)} forked workers, each with a scheduler of its own, beside a parent "
        "that held; 2 slots",
        f"{tokens} passages, 0 tokens twice, at most {parents[0]['peak']} held at once, "
        "0 leases of the parents lost; 0 sockets in a subprocess",
    )
