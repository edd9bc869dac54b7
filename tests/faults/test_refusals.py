"""Servers that are there and do not serve: busy, stopped, loading, read-only."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

from loco_redis import (
    AcquireTimeoutError,
    BackendUnavailableError,
)
from tests.faults.conftest import Seen
from tests.faults.own_server import any_own_server, own_server
from tests.faults.topologies import Mortal, client_of
from tests.faults.traffic import scheduler, state_at_rest, traffic
from tests.schedulers import Schedulers
from tests.servers import Server
from tests.waiting import eventually, wait_until

__all__ = ["any_own_server", "own_server"]

pytestmark = pytest.mark.chaos

LEASE = 0.6
OUTAGE = 0.9


def _loop(seconds: float) -> str:
    """Somebody else's script."""
    return (
        "local s=redis.call('TIME') repeat local n=redis.call('TIME') "
        f"until (n[1]-s[1])*1e6+n[2]-s[2] > {seconds * 1e6:.0f} return 'ended by itself'"
    )


@contextlib.asynccontextmanager
async def busy(server: Server, seconds: float) -> AsyncIterator[None]:
    """Somebody else's script runs for so long; it must come to its end."""
    with client_of(server.process) as foreign, client_of(server.process) as probe:
        running = asyncio.create_task(asyncio.to_thread(foreign.eval, _loop(seconds), 0))
        await eventually(lambda: _says_busy(probe))
        yield
        assert await running == b"ended by itself"


def _says_busy(probe: redis.Redis) -> bool:
    try:
        probe.ping()
    except redis.ResponseError as error:
        return "BUSY" in str(error)
    return False


async def test_busy(any_own_server: Server, seen: Seen) -> None:
    """A foreign script that runs for two leases is waited for, never killed; no lease expires by
    it. Who cannot wait that long gets a typed error in time."""
    server, client = any_own_server, any_own_server.client
    client.config_set("lua-time-limit", 20)
    late = []
    async with (
        traffic(server.url, lease_ttl=LEASE) as load,
        scheduler(server.url, lease_ttl=LEASE, backend_timeout=0.4) as hasty,
    ):
        handle = await hasty.acquire_start("holder")
        async with busy(server, 2 * LEASE):
            began = time.monotonic()
            calls = (
                lambda: hasty.acquire_start("a", timeout=0.2),
                lambda: hasty.submit_task("a"),
                lambda: hasty.snapshot(),
            )
            for call in calls:
                asked = time.monotonic()
                with pytest.raises((BackendUnavailableError, AcquireTimeoutError)):
                    await call()
                late.append(time.monotonic() - asked)
        await load.flows(since=began)
        assert not handle.lease.lost
        await hasty.release_handle(handle)
        told = await load.finish()
        assert told.sessions == load.sessions
        calls_of = client.info("commandstats")
        assert not {"cmdstat_script|kill", "cmdstat_function|kill"} & calls_of.keys()
    state_at_rest(server.process)
    assert max(late) < 0.4 + 0.5
    told.check_tokens()
    assert (told.failures, told.lost) == ([], [])
    assert told.overlap() <= 0.0
    seen(
        f"{server.name}: {len(told.passages)} grants in 3 sessions; a script of "
        f"{2 * LEASE:.1f} s with {told.under_way(began)} calls under way",
        f"{told.outcome}; deadlines of 0.2 and 0.4 s kept within {max(late):.2f} s",
    )


async def test_busy_or_stopped_for_too_long(own_server: Server) -> None:
    """A server that is stopped has its callers end by BackendUnavailableError in time; what they
    left is withdrawn later."""
    schedulers = Schedulers(own_server)
    scheduler = schedulers(backend_timeout=0.4, lease_ttl=30.0)
    async with scheduler:
        os.kill(own_server.process.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(BackendUnavailableError):
                await scheduler.acquire_start("a")
            with pytest.raises(BackendUnavailableError):
                await scheduler.submit_task("a")
            with pytest.raises((AcquireTimeoutError, BackendUnavailableError)):
                await scheduler.acquire_start("a", timeout=0.1)
            assert time.monotonic() - began < 2.0
        finally:
            os.kill(own_server.process.pid, signal.SIGCONT)
        await eventually(lambda: schedulers.held() == schedulers.waiting() == 0)
        await scheduler.release_handle(await scheduler.acquire_start("a", timeout=5.0))
    schedulers.at_rest = False  # whether the submit ran is unknown, as its error said
    await schedulers.aclose()


async def test_loading(tmp_path: Path, seen: Seen) -> None:
    """While it reads its file, callers wait to their deadlines; then the same sessions go on."""
    options = ("--appendonly", "yes", "--appendfsync", "always", "--dir", str(tmp_path))
    server = Mortal(*options)
    slow = ("--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024")
    try:
        _fill(server, keys=600)
        async with (
            traffic(server.process.url, lease_ttl=LEASE) as load,
            scheduler(server.process.url, lease_ttl=LEASE, backend_timeout=0.3) as hasty,
        ):
            handle = await hasty.acquire_start("holder")
            killed = server.kill()
            starting = asyncio.create_task(asyncio.to_thread(server.start, *slow))
            outboxes = [each._session.outbox for each in load.schedulers]  # type: ignore[union-attr]
            await eventually(lambda: any(_is_loading(o.failure) for o in outboxes))
            asked = time.monotonic()
            with pytest.raises((BackendUnavailableError, AcquireTimeoutError)):
                await hasty.acquire_start("a", timeout=0.3)
            refused_after = time.monotonic() - asked
            assert not starting.done()
            await starting
            loaded = time.monotonic()
            await load.flows(since=loaded)
            assert not handle.lease.lost
            await hasty.release_handle(handle)
            told = await load.finish()
            assert told.sessions == load.sessions
        state_at_rest(server.process)
    finally:
        server.end()
    told.check_tokens()
    assert (told.failures, told.lost) == ([], [])
    assert told.overlap() <= 0.0
    assert refused_after < 0.3 + 0.5
    first = told.first_after(killed) - (loaded - killed)
    seen(
        f"{len(told.passages)} grants in 3 sessions; killed with {told.under_way(killed)} calls "
        f"under way, read its file for {loaded - killed:.2f} s",
        f"{told.outcome}; first grant {first:.2f} s after the end of reading; a deadline of 0.3 s "
        f"kept within {refused_after:.2f} s",
    )


def _is_loading(failure: BaseException | None) -> bool:
    return isinstance(failure, redis.exceptions.BusyLoadingError)


def _fill(server: Mortal, keys: int) -> None:
    """Keys in the file's first part, where loading can be slowed down."""
    with client_of(server.process) as client:
        client.mset({f"filler:{index}": "x" * 100 for index in range(keys)})
        client.bgrewriteaof()
        wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"])


async def test_read_only_replica(own_server: Server, seen: Seen) -> None:
    """A master that is made a replica, and a master again, holds up its callers for that long;
    nobody is refused, and no lease expires by it."""
    client, moments, backs = own_server.client, [], []
    async with traffic(own_server.url, lease_ttl=LEASE) as load:
        handle = await load.schedulers[0].acquire_start("holder")
        for stale in ("yes", "no"):  # READONLY for writes; MASTERDOWN for everything
            client.config_set("replica-serve-stale-data", stale)
            moments.append(time.monotonic())
            client.execute_command("REPLICAOF", "127.0.0.1", "1")
            await asyncio.sleep(OUTAGE)
            backs.append(time.monotonic())
            client.execute_command("REPLICAOF", "NO", "ONE")
            await load.flows(since=backs[-1])
        assert not handle.lease.lost
        await load.schedulers[0].release_handle(handle)
        told = await load.finish()
        assert told.sessions == load.sessions
    state_at_rest(own_server.process)
    told.check_tokens()
    assert (told.failures, told.lost) == ([], [])
    assert told.overlap() <= 0.0
    seen(
        f"{len(told.passages)} grants in 3 sessions; READONLY, then MASTERDOWN, for "
        f"{OUTAGE:.1f} s each with {sum(map(told.under_way, moments))} calls under way",
        f"{told.outcome}; first grant at most "
        f"{max(map(told.first_after, backs)):.2f} s after the return",
    )
