"""Servers that are killed, and servers that belong together: a master with sentinels, a cluster.
Plain context managers, started anew each time and ended with everything they have started."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import redis
from redis.crc import key_slot

from loco_redis._keys import Keys
from loco_redis._server import EmbeddedServer, _free_port
from tests.servers import BINARIES, DEFAULT
from tests.waiting import wait_until

BINARY = BINARIES[DEFAULT]
SERVICE = "mymaster"
_SLOTS = 16384


def address(server: EmbeddedServer) -> str:
    """`host:port` of a server that listens on TCP."""
    return server.url.removeprefix("redis://").removesuffix("/0")


def port_of(server: EmbeddedServer) -> int:
    return int(address(server).rpartition(":")[2])


def client_of(server: EmbeddedServer) -> redis.Redis:
    return redis.Redis.from_url(server.url)


def wrapped(binary: Path, directory: Path, before: str = "", arguments: str = "") -> Path:
    """A program that starts `binary` with shell commands `before` it and `arguments` first."""
    program = directory / "server"
    program.write_text(f'#!/bin/sh\n{before}\nexec {binary} {arguments} "$@"\n')
    program.chmod(0o755)
    return program


class Mortal:
    """A server at a port of its own that is killed and started again."""

    def __init__(self, *options: str) -> None:
        self._port, self._options = _free_port(), options
        self._stack = ExitStack()
        self.start()

    def start(self, *more: str) -> None:
        """Start it (again), for this time with `more` options."""
        options = (*self._options, *more)
        started = EmbeddedServer.start(BINARY, port=self._port, extra_args=options)
        self.process = self._stack.enter_context(started)

    def kill(self) -> float:
        """SIGKILL; the moment at which it is gone."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.stop()
        return time.monotonic()

    def end(self) -> None:
        self._stack.close()


@contextmanager
def replicated() -> Iterator[tuple[EmbeddedServer, EmbeddedServer]]:
    """A master and its replica, in step."""
    with ExitStack() as stack:
        options = ("--repl-diskless-sync-delay", "0")
        master = stack.enter_context(EmbeddedServer.start(BINARY, tcp=True, extra_args=options))
        replica = stack.enter_context(EmbeddedServer.start(BINARY, tcp=True))
        client = client_of(replica)
        client.execute_command("REPLICAOF", *address(master).split(":"))
        wait_until(lambda: client.info("replication")["master_link_status"] == "up")
        yield master, replica


@dataclass(frozen=True)
class Watched:
    """A master and its replica, watched by sentinels that need a majority to fail over."""

    master: EmbeddedServer
    replica: EmbeddedServer
    sentinels: list[EmbeddedServer]

    @property
    def url(self) -> str:
        """All sentinels, as a scheduler takes it."""
        return f"redis+sentinel://{','.join(map(address, self.sentinels))}/{SERVICE}/0"

    def detach(self) -> None:
        """Break the replication for good, unnoticed by anybody: what the master is told from now
        on, its replica will never know."""
        client_of(self.replica).config_set("masteruser", "nobody")
        client_of(self.replica).config_set("masterauth", "wrong")
        client_of(self.master).execute_command("CLIENT", "KILL", "TYPE", "replica")


@contextmanager
def watched(count: int = 3, down_after: int = 500) -> Iterator[Watched]:
    """`count` sentinels that take a master for dead after `down_after` ms of silence."""
    with replicated() as (master, replica), ExitStack() as stack:
        ports = [_free_port() for _ in range(count)]
        ids = [f"{index:040x}" for index in range(1, count + 1)]
        sentinels = []
        for index, port in enumerate(ports):
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            # They would find each other by themselves, after some seconds.
            known = [
                f"sentinel known-sentinel {SERVICE} 127.0.0.1 {ports[other]} {ids[other]}\n"
                for other in range(count)
                if other != index
            ]
            conf = directory / "conf"
            conf.write_text(
                f"sentinel myid {ids[index]}\n"
                f"sentinel monitor {SERVICE} 127.0.0.1 {port_of(master)} {count // 2 + 1}\n"
                f"sentinel down-after-milliseconds {SERVICE} {down_after}\n"
                # A vote that is split is repeated after twice that; otherwise after six minutes.
                f"sentinel failover-timeout {SERVICE} 3000\n"
                f"sentinel known-replica {SERVICE} 127.0.0.1 {port_of(replica)}\n" + "".join(known)
            )
            program = wrapped(BINARY, directory, arguments=f"{conf} --sentinel")
            sentinels.append(stack.enter_context(EmbeddedServer.start(program, port=port)))
        for sentinel in sentinels:
            wait_until(partial(_can_fail_over, client_of(sentinel)), timeout=20)
        yield Watched(master, replica, sentinels)


def _can_fail_over(sentinel: redis.Redis) -> bool:
    """A sentinel that has heard of the replica, and of enough others."""
    with contextlib.suppress(redis.ResponseError):
        replicas = sentinel.execute_command("SENTINEL", "REPLICAS", SERVICE)
        # CKQUORUM replies by an error where too few sentinels can be reached.
        sentinel.execute_command("SENTINEL", "CKQUORUM", SERVICE)
        return any(b"ok" in (row.values() if isinstance(row, dict) else row) for row in replicas)
    return False


@dataclass(frozen=True)
class Cluster:
    """Masters that share the slots, and a replica of the one that has the slot of a resource."""

    name: str
    owner: EmbeddedServer
    others: list[EmbeddedServer]
    replica: EmbeddedServer

    @property
    def masters(self) -> list[EmbeddedServer]:
        return [self.owner, *self.others]

    @property
    def url(self) -> str:
        """All masters, as a scheduler takes it."""
        return "redis+cluster://" + ",".join(map(address, self.masters))

    @property
    def slot(self) -> int:
        return key_slot(Keys(self.name).vars)

    def move_slot(self, source: EmbeddedServer, target: EmbeddedServer) -> int:
        """Hand the slot of the resource from one master to another, key by key; returns how many
        keys there were."""
        there, here = client_of(target), client_of(source)
        ids = {node: client_of(node).execute_command("CLUSTER MYID") for node in (source, target)}
        there.execute_command("CLUSTER SETSLOT", self.slot, "IMPORTING", ids[source])
        here.execute_command("CLUSTER SETSLOT", self.slot, "MIGRATING", ids[target])
        moved = 0
        while keys := here.execute_command("CLUSTER GETKEYSINSLOT", self.slot, 1):
            here.execute_command("MIGRATE", *address(target).split(":"), keys[0], 0, 5000)
            moved += 1
        for client in (there, here, *map(client_of, self.others)):
            client.execute_command("CLUSTER SETSLOT", self.slot, "NODE", ids[target])
        return moved


@contextmanager
def cluster(name: str, masters: int = 3, node_timeout: int = 1000) -> Iterator[Cluster]:
    """A cluster that takes a node for dead after `node_timeout` ms of silence."""
    with ExitStack() as stack:

        def node() -> EmbeddedServer:
            options = ("--cluster-enabled", "yes", "--cluster-port", str(_free_port()))
            options += ("--cluster-node-timeout", str(node_timeout))
            options += ("--repl-diskless-sync-delay", "0")
            started = EmbeddedServer.start(BINARY, tcp=True, extra_args=options)
            return stack.enter_context(started)

        nodes = [node() for _ in range(masters)]
        bounds = [_SLOTS * index // masters for index in range(masters + 1)]
        for index, (first, end) in enumerate(pairwise(bounds)):
            client = client_of(nodes[index])
            client.execute_command("CLUSTER ADDSLOTSRANGE", first, end - 1)
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", index + 1)
        replica = node()
        for other in (*nodes[1:], replica):
            bus = client_of(other).config_get("cluster-port")["cluster-port"]
            client_of(nodes[0]).execute_command("CLUSTER MEET", *address(other).split(":"), bus)
        for server in (*nodes, replica):
            wait_until(partial(_is_whole, client_of(server), masters + 1), timeout=20)
        slot = key_slot(Keys(name).vars)
        owner = nodes[next(i for i in range(masters) if slot < bounds[i + 1])]
        own_id = client_of(owner).execute_command("CLUSTER MYID")
        client = client_of(replica)
        client.execute_command("CLUSTER REPLICATE", own_id)
        wait_until(lambda: client.info("replication").get("master_link_status") == "up")
        # It may only be elected by nodes that know it as a replica.
        for server in nodes:
            wait_until(partial(_has_replica, client_of(server), own_id))
        yield Cluster(name, owner, [other for other in nodes if other is not owner], replica)


def _is_whole(node: redis.Redis, count: int) -> bool:
    info = node.cluster("info")
    return info["cluster_state"] == "ok" and info["cluster_known_nodes"] == str(count)


def _has_replica(node: redis.Redis, master: bytes) -> bool:
    return len(node.execute_command("CLUSTER REPLICAS", master)) == 1
