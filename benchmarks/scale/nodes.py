"""A cluster of local processes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import redis
from redis.crc import key_slot

from benchmarks import server
from loco_redis._keys import Keys
from loco_redis._server import EmbeddedServer, _free_port

_SLOTS = 16384
_PATIENCE = 30.0


@contextmanager
def running(count: int) -> Iterator[list[EmbeddedServer]]:
    """So many masters, without replicas, that share the slots of a cluster evenly."""
    with ExitStack() as stack:
        nodes = [stack.enter_context(_node()) for _ in range(count)]
        clients = [stack.enter_context(redis.Redis.from_url(node.url)) for node in nodes]
        for number, client in enumerate(clients):
            owned = _owned(number, count)
            client.execute_command("CLUSTER ADDSLOTSRANGE", owned.start, owned.stop - 1)
        for node, client in list(zip(nodes, clients, strict=True))[1:]:
            where, bus = urlsplit(node.url), client.config_get("cluster-port")["cluster-port"]
            clients[0].execute_command("CLUSTER MEET", where.hostname, where.port, bus)
        _wait(clients)
        yield nodes


def spread(nodes: Sequence[EmbeddedServer], resources: int) -> list[tuple[str, EmbeddedServer]]:
    """Names of so many resources, and the node of each: as many on every node."""
    left = {number: resources // len(nodes) for number in range(len(nodes))}
    found, candidate = [], 0
    while any(left.values()):
        name = f"resource-{candidate}"
        candidate += 1
        slot = key_slot(Keys(name).costs)
        number = next(n for n in left if slot in _owned(n, len(nodes)))
        if left[number]:
            left[number] -= 1
            found.append((name, nodes[number]))
    return found


def _node() -> EmbeddedServer:
    options = ("--cluster-enabled", "yes", "--cluster-port", str(_free_port()))
    return EmbeddedServer.start(server.binary(), tcp=True, extra_args=options)


def _owned(number: int, count: int) -> range:
    return range(_SLOTS * number // count, _SLOTS * (number + 1) // count)


def _wait(clients: Sequence[redis.Redis]) -> None:
    """Until every node knows all and says that the cluster is well."""
    deadline = time.monotonic() + _PATIENCE
    while not all(_is_well(client, len(clients)) for client in clients):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the cluster did not form within {_PATIENCE:g} s")
        time.sleep(0.05)


def _is_well(client: redis.Redis, count: int) -> bool:
    info = client.cluster("info")
    return bool(info["cluster_state"] == "ok" and info["cluster_known_nodes"] == str(count))
