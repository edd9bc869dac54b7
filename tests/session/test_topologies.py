"""Servers that move: a restart with AOF, a sentinel's failover, a cluster's slot on its way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from loco_redis import AsyncLOCOScheduler, SharedResource
from loco_redis._keys import Keys
from loco_redis._server import _free_port
from tests.servers import BINARIES, DEFAULT, EmbeddedServer
from tests.waiting import eventually, wait_until

pytestmark = pytest.mark.chaos


def _scheduler(url: str, **options: object) -> AsyncLOCOScheduler:
    options = {"lease_ttl": 3.0, "backend_timeout": 20.0, **options}
    return AsyncLOCOScheduler([], SharedResource("llm", 1), redis=url, **options)  # type: ignore[arg-type]


def _client(server: EmbeddedServer) -> redis.Redis:
    return redis.Redis.from_url(server.url)


async def test_killed_server_with_aof(tmp_path: Path) -> None:
    """Killed and started again with its append-only file, it finds the same sessions: no lease is
    lost, no waiter forgotten."""
    port = None
    kept = tmp_path / "data"
    kept.mkdir()
    options = ("--appendonly", "yes", "--appendfsync", "always", "--dir", str(kept))
    with EmbeddedServer.start(BINARIES[DEFAULT], tcp=True, extra_args=options) as server:
        port = int(server.url.rsplit(":", 1)[1].partition("/")[0])
        scheduler = _scheduler(server.url)
        async with scheduler:
            session = scheduler.session_id
            handle = await scheduler.acquire_start("a")
            waiter = asyncio.create_task(scheduler.acquire_start("b"))
            await _until_waited_for(scheduler)
            os.kill(server.pid, signal.SIGKILL)
            server.stop()
            with EmbeddedServer.start(BINARIES[DEFAULT], port=port, extra_args=options):
                await scheduler.release_handle(handle)
                await scheduler.release_handle(await waiter)
                assert scheduler.session_id == session
                snapshot = await scheduler.snapshot()
                assert (snapshot.granted, snapshot.released, snapshot.reclaimed) == (2, 2, 0)
                await scheduler.aclose()


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[tuple[EmbeddedServer, EmbeddedServer, str]]:
    """A master, its replica, and the address of a sentinel that watches them."""
    binary = BINARIES[DEFAULT]
    with (
        EmbeddedServer.start(
            binary, tcp=True, extra_args=("--repl-diskless-sync-delay", "0")
        ) as master,
        EmbeddedServer.start(binary, tcp=True) as replica,
    ):
        host, port = master.url.removeprefix("redis://").removesuffix("/0").split(":")
        _client(replica).execute_command("REPLICAOF", host, port)
        wait_until(lambda: _client(replica).info("replication")["master_link_status"] == "up")
        (tmp_path / "conf").write_text(
            f"sentinel monitor mymaster {host} {port} 1\n"
            "sentinel down-after-milliseconds mymaster 500\n"
        )
        program = tmp_path / "sentinel"
        program.write_text(f'#!/bin/sh\nexec {binary} {tmp_path}/conf --sentinel "$@"\n')
        program.chmod(0o755)
        with EmbeddedServer.start(program, tcp=True) as sentinel:
            watcher = _client(sentinel)
            wait_until(
                lambda: watcher.execute_command("SENTINEL", "REPLICAS", "mymaster"), timeout=20
            )
            yield master, replica, sentinel.url.removeprefix("redis://").removesuffix("/0")


async def test_sentinel_failover(
    replicated: tuple[EmbeddedServer, EmbeddedServer, str],
) -> None:
    """Work goes on by the new master: what was held is released there, what waited is served."""
    master, replica, sentinel = replicated
    async with _scheduler(f"redis+sentinel://{sentinel}/mymaster/0") as scheduler:
        handle = await scheduler.acquire_start("a")
        waiter = asyncio.create_task(scheduler.acquire_start("b"))
        await _until_waited_for(scheduler)
        assert _client(master).wait(1, 5000) == 1
        await eventually(lambda: _failover(sentinel), 20)
        await eventually(lambda: _is_master(replica), 20)
        await scheduler.release_handle(handle)
        served = await waiter
        assert not served.lease.lost
        await scheduler.release_handle(served)
        assert (await scheduler.snapshot()).released == 2


@pytest.fixture
def cluster() -> Iterator[list[EmbeddedServer]]:
    """Two nodes that share the slots of a cluster."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port")
    binary = BINARIES[DEFAULT]
    with (
        EmbeddedServer.start(binary, tcp=True, extra_args=(*options, str(_free_port()))) as one,
        EmbeddedServer.start(binary, tcp=True, extra_args=(*options, str(_free_port()))) as two,
    ):
        nodes = [one, two]
        for node, first, last in ((one, 0, 8191), (two, 8192, 16383)):
            _client(node).execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        host, port = two.url.removeprefix("redis://").removesuffix("/0").split(":")
        bus = _client(two).config_get("cluster-port")["cluster-port"]
        _client(one).execute_command("CLUSTER", "MEET", host, port, bus)
        for node in nodes:
            wait_until(
                lambda node=node: (
                    (info := _client(node).cluster("info"))["cluster_state"] == "ok"
                    and info["cluster_known_nodes"] == "2"
                ),
                timeout=20,
            )
        yield nodes


async def test_cluster_and_its_moving_slot(cluster: list[EmbeddedServer]) -> None:
    """A scheduler lives in one slot, hints cross the cluster; when the slot moves to another node
    with a lease held and a waiter queued, both go on there."""
    addresses = ",".join(n.url.removeprefix("redis://").removesuffix("/0") for n in cluster)
    url = f"redis+cluster://{addresses}"
    async with _scheduler(url) as scheduler, _scheduler(url) as other:
        for _ in range(20):
            async with scheduler.acquire("a"):
                pass
        handle = await scheduler.acquire_start("a")
        waiter = asyncio.create_task(other.acquire_start("b"))
        await _until_waited_for(scheduler)
        _move_slot(cluster)
        await scheduler.release_handle(handle)
        served = await waiter
        await other.release_handle(served)
        async with scheduler.acquire("a"):
            pass
        snapshot = await scheduler.snapshot()
        assert (snapshot.released, snapshot.reclaimed) == (23, 0)


def _move_slot(cluster: list[EmbeddedServer]) -> None:
    """Hand the slot of the resource from the node that has it to the other one."""
    clients = [_client(node) for node in cluster]
    slot = clients[0].execute_command("CLUSTER", "KEYSLOT", Keys("llm").costs)
    ids = [client.execute_command("CLUSTER", "MYID").decode() for client in clients]
    source = 0 if slot <= 8191 else 1
    target = 1 - source
    clients[target].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
    clients[source].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
    host, port = cluster[target].url.removeprefix("redis://").removesuffix("/0").split(":")
    while keys := clients[source].execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
        clients[source].execute_command("MIGRATE", host, port, "", 0, 5000, "KEYS", *keys)
    for client in (clients[target], clients[source]):
        client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])


def _failover(sentinel: str) -> bool:
    """False as long as the sentinel does not know enough of the replica."""
    with contextlib.suppress(redis.ResponseError):
        redis.Redis.from_url(f"redis://{sentinel}").execute_command("SENTINEL FAILOVER mymaster")
        return True
    return False


def _is_master(server: EmbeddedServer) -> bool:
    with contextlib.suppress(redis.ConnectionError):  # a failover breaks connections
        return _client(server).info("replication")["role"] == "master"
    return False


async def _until_waited_for(scheduler: AsyncLOCOScheduler) -> None:
    async with asyncio.timeout(10):
        while not (await scheduler.snapshot()).waiters:  # noqa: ASYNC110  Redis wakes nobody here
            await asyncio.sleep(0.005)
