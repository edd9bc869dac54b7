"""A cluster for tests that need no more than one node of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from loco_redis._server import EmbeddedServer, _free_port
from tests.servers import BINARIES, DEFAULT
from tests.waiting import wait_until


@contextmanager
def cluster_node() -> Iterator[EmbeddedServer]:
    """The only node of a cluster, which owns all slots."""
    options = ("--cluster-enabled", "yes", "--cluster-port", str(_free_port()))
    with EmbeddedServer.start(BINARIES[DEFAULT], tcp=True, extra_args=options) as server:
        with redis.Redis.from_url(server.url) as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            wait_until(lambda: client.cluster("info")["cluster_state"] == "ok")
        yield server


def as_cluster(url: str) -> str:
    """The URL of the cluster to which the server at `url` belongs."""
    return "redis+cluster://" + url.removeprefix("redis://").removesuffix("/0")


@pytest.fixture
def cluster_url() -> Iterator[str]:
    """The URL of a cluster whose only node owns all slots."""
    with cluster_node() as server:
        yield as_cluster(server.url)
