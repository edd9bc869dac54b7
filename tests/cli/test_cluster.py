"""Every command on a cluster of three nodes, through a user with the least rights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import redis

from loco_redis._keys import REGISTRY, Keys
from loco_redis._rights import CLUSTER
from loco_redis._server import _free_port
from loco_redis.cli._rights import RIGHTS
from tests.cli.calls import invoke
from tests.cli.every_command import Operator, governed_fleet
from tests.servers import BINARIES, DEFAULT, EmbeddedServer
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

_RANGES = ((0, 5460), (5461, 10922), (10923, 16383))


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[EmbeddedServer]]:
    """Three nodes that share the slots."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port")
    with contextlib.ExitStack() as stack:
        nodes = []
        for slots in _RANGES:
            arguments = (*options, str(_free_port()))
            server = EmbeddedServer.start(BINARIES[DEFAULT], tcp=True, extra_args=arguments)
            nodes.append(stack.enter_context(server))
            _client(nodes[-1]).execute_command("CLUSTER", "ADDSLOTSRANGE", *slots)
        for node in nodes[1:]:
            host, port = _address(node).split(":")
            bus = _client(node).config_get("cluster-port")["cluster-port"]
            _client(nodes[0]).execute_command("CLUSTER", "MEET", host, port, bus)
        for node in nodes:
            wait_until(lambda node=node: _is_complete(node), timeout=20, what="the cluster")
        yield nodes


def _client(node: EmbeddedServer) -> redis.Redis:
    return redis.Redis.from_url(node.url)


def _address(node: EmbeddedServer) -> str:
    return node.url.removeprefix("redis://").removesuffix("/0")


def _is_complete(node: EmbeddedServer) -> bool:
    info = _client(node).cluster("info")
    return info["cluster_state"] == "ok" and info["cluster_known_nodes"] == "3"


def test_every_command_works(nodes: list[EmbeddedServer]) -> None:
    """The user may do what a row says, and what a client of a cluster needs, at every node."""
    addresses = ",".join(map(_address, nodes))
    clients = [_client(node) for node in nodes]
    with governed_fleet(f"redis+cluster://{addresses}") as fleet:
        operator = Operator(fleet, f"redis+cluster://op:x@{addresses}", clients)
        for command, rights in RIGHTS.items():
            if command != "purge":
                _succeeds(operator, command, rights)
        for right in CLUSTER:
            operator.may((*RIGHTS["pause"], *CLUSTER), right)
            assert operator.call("pause").exit_code == 2, right
        _succeeds(operator, "purge", RIGHTS["purge"])


def _succeeds(operator: Operator, command: str, rights: tuple[str, ...]) -> None:
    operator.may((*rights, *CLUSTER))
    result = operator.call(command)
    assert result.exit_code == 0, (command, result.output)


def test_purge_reaches_all_its_nodes(nodes: list[EmbeddedServer]) -> None:
    """The list of resources and the resource need not be on the same node."""
    url = f"redis+cluster://{_address(nodes[0])}"
    with redis.RedisCluster.from_url(f"redis://{_address(nodes[0])}") as client:
        homes = {client.keyslot(key) for key in (REGISTRY, *Keys("llm_api").all)}
        assert len(homes) == 2
        assert invoke("purge", "-n", "llm_api", "--force", "-y", "-u", url).exit_code == 0
        assert not client.smembers(REGISTRY)
        assert not any(client.exists(key) for key in Keys("llm_api").all)
