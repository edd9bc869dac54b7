"""Redis is found from a URL, a ready client or the environment, and no credential is ever shown."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fakeredis
import pytest
import redis
import redis.asyncio
import redis.asyncio.sentinel
from redis.asyncio.cluster import ClusterNode

from loco_redis._endpoint import _sentinels
from loco_redis._server import EmbeddedServer, _free_port
from loco_redis._shared_server import is_shared
from loco_redis.config import AsyncClient, Endpoint, resolve
from tests.servers import BINARIES, DEFAULT, Server
from tests.waiting import wait_until


async def assert_connects(endpoint: Endpoint, **expected: Any) -> None:
    """Both clients reach the same data, send once, and the connection has these arguments."""
    client, plain = endpoint.async_client(), endpoint.sync_client()
    try:
        await client.set("{k}", b"\xff")
        assert plain.get("{k}") == b"\xff"
        for pool in (getattr(c, "connection_pool", None) for c in (client, plain)):
            arguments = pool.connection_kwargs if pool else {}
            assert arguments.items() >= expected.items() or not pool
    finally:
        plain.close()
        await endpoint.close_async(client)


@pytest.fixture(scope="module")
def tcp() -> Iterator[EmbeddedServer]:
    with EmbeddedServer.start(BINARIES[DEFAULT], tcp=True) as server:
        yield server


@pytest.fixture(scope="module")
def address(tcp: EmbeddedServer) -> str:
    return tcp.url.removeprefix("redis://").removesuffix("/0")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A cluster of one node that owns all slots: its address."""
    # The bus port is the client port + 10000 by default, which may lie above the last port.
    options = ("--cluster-enabled", "yes", "--cluster-port", str(_free_port()))
    with EmbeddedServer.start(BINARIES[DEFAULT], tcp=True, extra_args=options) as server:
        with redis.Redis.from_url(server.url) as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            wait_until(lambda: client.cluster("info")["cluster_state"] == "ok")
        yield server.url.removeprefix("redis://").removesuffix("/0")


@pytest.fixture(scope="module")
def sentinel(tcp: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A sentinel that watches the TCP server as 'mymaster': its address."""
    folder = tmp_path_factory.mktemp("sentinel")
    host, port = tcp.url.removeprefix("redis://").removesuffix("/0").split(":")
    (folder / "conf").write_text(f"sentinel monitor mymaster {host} {port} 1\n")
    program = folder / "sentinel"
    program.write_text(f'#!/bin/sh\nexec {BINARIES[DEFAULT]} {folder}/conf --sentinel "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with EmbeddedServer.start(program, tcp=True) as server:
        yield server.url.removeprefix("redis://").removesuffix("/0")


async def test_unix_url(any_server: Server) -> None:
    """unix:// connects by the socket; parameters of the URL are honoured."""
    await assert_connects(Endpoint.parse(any_server.url))
    await assert_connects(Endpoint.parse(f"{any_server.url}?db=3&protocol=2"), db=3, protocol=2)


@pytest.mark.parametrize("scheme", ["redis", "valkey", "REDIS"])
async def test_tcp_url(scheme: str, address: str) -> None:
    """redis:// and valkey:// mean the same; the path is the database."""
    await assert_connects(Endpoint.parse(f"{scheme}://{address}/2"), db=2, socket_timeout=5.0)
    await assert_connects(
        Endpoint.parse(f"{scheme}://{address}?socket_timeout=9"), socket_timeout=9
    )


@pytest.mark.parametrize("scheme", ["rediss", "valkeys"])
def test_tls_url(scheme: str) -> None:
    """rediss:// and valkeys:// connect by TLS and check the certificate."""
    endpoint = Endpoint.parse(f"{scheme}://h:7/1?ssl_ca_certs=/ca.pem")
    pool = endpoint.sync_client().connection_pool
    assert pool.connection_class is redis.SSLConnection
    assert pool.connection_kwargs["ssl_ca_certs"] == "/ca.pem"
    assert pool.connection_kwargs["ssl_cert_reqs"] == "required"
    assert (pool.connection_kwargs["host"], pool.connection_kwargs["port"]) == ("h", 7)
    assert endpoint.async_client().connection_pool.connection_class is redis.asyncio.SSLConnection


async def test_sentinel_url(sentinel: str) -> None:
    """redis+sentinel:// asks the sentinels, dead ones too, for the master."""
    await assert_connects(
        Endpoint.parse(f"redis+sentinel://127.0.0.1:1,{sentinel}/mymaster/4"), db=4
    )


async def test_cluster_url(cluster: str) -> None:
    """redis+cluster:// discovers the cluster from any node that answers."""
    await assert_connects(Endpoint.parse(f"redis+cluster://127.0.0.1:1,{cluster}"))


async def given_client(kind: str, tcp: str, sentinel: str, cluster: str) -> AsyncClient:
    host, port = sentinel.split(":")
    node = cluster.split(":")
    match kind:
        case "tcp":
            return redis.asyncio.Redis.from_url(f"redis://{tcp}/5")
        case "sentinel":
            return redis.asyncio.sentinel.Sentinel([(host, int(port))]).master_for("mymaster")
        case "cluster":
            return redis.asyncio.RedisCluster(startup_nodes=[ClusterNode(node[0], int(node[1]))])
        case _:
            return fakeredis.FakeAsyncRedis()


@pytest.mark.parametrize("kind", ["tcp", "sentinel", "cluster", "fake"])
async def test_ready_client(kind: str, address: str, sentinel: str, cluster: str) -> None:
    """A ready client is used as it is and left open; a plain twin reaches the same data."""
    client = await given_client(kind, address, sentinel, cluster)
    endpoint = resolve(client)
    assert endpoint.async_client() is client
    await assert_connects(endpoint)
    assert await client.get("{k}") == b"\xff"
    if kind != "fake":
        assert {"tcp": address, "sentinel": sentinel, "cluster": cluster}[kind] in endpoint.url
        await assert_connects(Endpoint.parse(endpoint.url))
    await client.aclose()
    for watcher in _sentinels(getattr(client, "connection_pool", None)):
        await watcher.aclose()


async def test_commands_are_sent_once(tcp: EmbeddedServer) -> None:
    """A reply that is late is a timeout, and the script has not been sent again meanwhile."""
    endpoint = Endpoint.parse(f"{tcp.url}?socket_timeout=0.1")
    plain, client = endpoint.sync_client(), endpoint.async_client()
    script = """
        local ends = os.clock() + 0.3
        repeat until os.clock() > ends
        return redis.call('INCR', KEYS[1])"""
    with redis.Redis.from_url(tcp.url) as observer:
        plain.delete("once")
        await client.ping()
        with pytest.raises(redis.TimeoutError):
            plain.eval(script, 1, "once")
        assert observer.get("once") == b"1"
        with pytest.raises(redis.TimeoutError):
            await client.eval(script, 1, "once")
        assert observer.get("once") == b"2"
    plain.close()
    await endpoint.close_async(client)


def test_embedded_url() -> None:
    """embedded:// has an address while somebody is attached, and none outside."""
    endpoint = Endpoint.parse("embedded://")
    assert endpoint.is_embedded
    with pytest.raises(ValueError, match="attached"):
        endpoint.sync_client()
    with endpoint.attached() as first, endpoint.attached() as second:
        assert first == second
        assert is_shared(first.url)
        assert first.sync_client().ping()
    assert not is_shared(first.url)


def test_environment(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """None means LOCO_REDIS_URL, then REDIS_URL, then an embedded server with one warning."""
    with caplog.at_level(logging.WARNING, "loco_redis"):
        endpoint = resolve(None)
        assert endpoint.url == "embedded://"
        assert len(caplog.records) == 1
        with endpoint.attached() as attached:
            assert os.environ["LOCO_REDIS_URL"] == attached.url
            # Counted like the first, and without a second warning.
            assert resolve(None).is_embedded
        monkeypatch.setenv("REDIS_URL", "redis://b")
        assert resolve(None).url == "redis://b"
        monkeypatch.setenv("LOCO_REDIS_URL", "redis://a")
        assert resolve(None).url == "redis://a"
        assert len(caplog.records) == 1


def test_ready_client_with_decoding_is_refused() -> None:
    """Replies are bytes here; a client that decodes them is refused by name."""
    with pytest.raises(ValueError, match="decode_responses=False"):
        resolve(redis.asyncio.Redis(decode_responses=True))


@pytest.mark.parametrize("value", [7, b"redis://h", object(), redis.Redis(), Path("x")])
def test_neither_url_nor_client(value: Any) -> None:
    """Anything else is refused by its type."""
    with pytest.raises(ValueError, match="URL or a client of redis.asyncio, got a "):
        resolve(value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:s3cret@h:1/0", "redis://***@h:1/0"),
        ("redis://:s3cret@h", "redis://***@h"),
        ("redis://h/0?password=s3cret&protocol=2", "redis://h/0?password=***&protocol=2"),
        ("redis://h?%70assword=s3cret", "redis://h?password=***"),
        ("unix://u:s3cret@/tmp/x.sock?db=1", "unix://***@/tmp/x.sock?db=1"),
        (
            "redis+sentinel://u:s3cret@a:1,b:2/m/0?sentinel_password=s3cret",
            "redis+sentinel://***@a:1,b:2/m/0?sentinel_password=***",
        ),
        ("rediss+cluster://u:s3cret@a,b", "rediss+cluster://***@a,b"),
    ],
)
def test_credentials_are_used_and_never_shown(url: str, shown: str) -> None:
    """Credentials reach the connection and appear in no text."""
    endpoint = Endpoint.parse(url)
    assert endpoint.redacted == shown
    assert "s3cret" not in repr(endpoint) + repr(endpoint.location) + f"{endpoint}"
    assert endpoint.location.options.get("password") == "s3cret"


@pytest.mark.parametrize(
    "url",
    [
        "http://u:s3cret@h",
        "u:s3cret@h:6379",
        "redis://u:s3cret@h:port",
        "redis://u:s3c#s3cret@h",
        "redis://u:1/s3cret@h",
        "redis://u:1?s3cret@h",
        "redis://u:1#s3cret@h",
        "redis://u:s3cret@h/zero",
        "redis://u:s3cret@h/-1",
        "redis://u:s3cret@h?decode_responses=true",
        "redis://u:s3cret@h?retry_on_timeout=true",
        "redis://u:s3cret@h?socket_timeout=soon",
        "redis://u:s3cret@h?protocol=4",
        "redis://u:s3cret@a,b",
        "redis+sentinel://u:s3cret@h:26379",
        "redis+cluster://u:s3cret@h/1",
        "redis+tcp://u:s3cret@h",
        "unix://u:s3cret@",
        "unix://u:s3cret@h/x.sock",
        "embedded://u:s3cret@h",
    ],
)
def test_malformed_urls(url: str) -> None:
    """A malformed URL is refused by one line that shows it without its credentials."""
    with pytest.raises(ValueError, match="^Redis URL '") as caught:
        Endpoint.parse(url)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("value", ["", "localhost:6379", "redis:h", "://"])
def test_unknown_scheme_names_the_remedy(value: str) -> None:
    """What has no known scheme is shown together with the forms that have one."""
    with pytest.raises(
        ValueError, match=r"unknown scheme; use one of redis://host:6379/0"
    ) as caught:
        resolve(value)
    assert repr(value) in str(caught.value)
