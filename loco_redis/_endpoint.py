"""Where Redis is, and how to connect to it: one frozen value made from a URL or a ready client."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Self

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.sentinel
import redis.cluster
import redis.sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry

from loco_redis._library import WAYS, Way
from loco_redis._scripts import library
from loco_redis._shared_server import URL_VARIABLE, acquire_shared, is_shared, release_shared
from loco_redis._url import URL_OPTIONS, Location, describe, read, redact

_log = logging.getLogger("loco_redis")

AsyncClient = redis.asyncio.Redis | redis.asyncio.RedisCluster
SyncClient = redis.Redis | redis.RedisCluster

# What of a ready client's arguments a second client needs.
_CLIENT_OPTIONS = URL_OPTIONS | {"credential_provider", "ssl", "ssl_ca_path", "ssl_password"}
# What identifies fakeredis' in-memory servers.
_FAKE_ADDRESS = ("server", "host", "port", "db", "version", "server_type", "lua_modules")

EMBEDDED_URL = "embedded://"
FALLBACK_URL_VARIABLE = "REDIS_URL"
SCRIPTS_VARIABLE = "LOCO_REDIS_SCRIPTS"

SOCKET_TIMEOUT = 5.0
CONNECT_TIMEOUT = 3.0


@dataclass(frozen=True, repr=False)
class Endpoint:
    """Where Redis is.

    Attributes:
        url: as given, credentials included: never log it. Without them for a ready client.
        redacted: the same for logs and errors.
        given: the ready client this was made of, or None.
        scripts: how scripts are run there.
    """

    url: str
    location: Location = field(compare=False)
    given: AsyncClient | None = None
    scripts: Way = "eval"

    @classmethod
    def parse(cls, url: str) -> Self:
        """Of a URL; `_url.FORMS` lists the forms. ValueError names the redacted URL."""
        return cls(url, read(url))

    @classmethod
    def of_client(cls, client: AsyncClient) -> Self:
        """Of a ready redis.asyncio client, which is used as it is and never closed.

        Raises:
            ValueError: not such a client, or it was made with decode_responses=True.
        """
        if not isinstance(client, redis.asyncio.Redis | redis.asyncio.RedisCluster):
            raise ValueError(
                "redis must be a URL or a client of redis.asyncio, got a "
                f"{type(client).__module__}.{type(client).__qualname__}"
            )
        location = _locate(client)
        return cls(describe(location), location, client)

    @property
    def redacted(self) -> str:
        return redact(self.url)

    @property
    def is_embedded(self) -> bool:
        return self.location.kind == "embedded"

    def __repr__(self) -> str:
        return f"Endpoint({self.redacted!r})"

    @contextmanager
    def attached(self) -> Iterator[Endpoint]:
        """The endpoint to connect to: itself or, for `embedded://`, the server kept running inside.

        Blocks for some 30 ms when it has to start the server. That is nobody else's: where scripts
        are functions it gets their library.
        """
        if not self.is_embedded:
            yield self
            return
        url = acquire_shared()
        try:
            inside = replace(Endpoint.parse(url), scripts=self.scripts)
            inside.load_library()
            yield inside
        finally:
            release_shared(url)

    def async_client(self) -> AsyncClient:
        """The given client, or a new one; close it with `close_async`."""
        if self.given is not None:
            return self.given
        where, options = self.location, self._client_options()
        if where.kind == "cluster":
            nodes = [redis.asyncio.cluster.ClusterNode(*node) for node in where.nodes]
            return redis.asyncio.RedisCluster(startup_nodes=nodes, **options)
        if where.kind == "sentinel":
            sentinel = redis.asyncio.sentinel.Sentinel(
                where.nodes, sentinel_kwargs=_robust(where.sentinel_options), **options
            )
            client: redis.asyncio.Redis = sentinel.master_for(where.service)
            return client
        return redis.asyncio.Redis(**options)

    def load_library(self) -> None:
        """Of a server that is this process' own: where scripts are functions it gets them."""
        if self.scripts == "functions":
            # One that is there already, or a server without functions: told by the first call.
            with self.sync_client() as client, suppress(ResponseError):
                client.execute_command("FUNCTION", "LOAD", library().text)

    async def close_async(self, client: AsyncClient) -> None:
        """Close what `async_client` opened; leaves a given client alone."""
        if client is self.given:
            return
        await client.aclose()
        if isinstance(client, redis.asyncio.Redis):
            # Closing the master's pool leaves the connections to the sentinels open.
            for sentinel in _sentinels(client.connection_pool):
                await sentinel.aclose()

    def sync_client(self, limit: float = math.inf) -> SyncClient:
        """A new plain client with connections of its own, for a thread.

        For a cluster this connects at once and may raise `redis.RedisError`.

        Args:
            limit: seconds for which it waits at most for a connection or for a reply.
        """
        if (fake := _fake_twin(self.given)) is not None:
            return fake
        where, options = self.location, _within(limit, self._client_options())
        if where.kind == "cluster":
            nodes = [redis.cluster.ClusterNode(*node) for node in where.nodes]
            return redis.RedisCluster(startup_nodes=nodes, **options)
        if where.kind == "sentinel":
            asking = _within(limit, _robust(where.sentinel_options))
            sentinel = redis.sentinel.Sentinel(where.nodes, sentinel_kwargs=asking, **options)
            client: redis.Redis = sentinel.master_for(where.service)
            return client
        return redis.Redis(**options)

    def _client_options(self) -> dict[str, Any]:
        where = self.location
        if where.kind == "embedded":
            raise ValueError("embedded:// has no address until it runs: connect inside attached()")
        options = _robust(where.options)
        if where.kind == "single" and where.nodes:
            options["host"], options["port"] = where.nodes[0]
        return options


def _robust(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a client that sends each command once and never hangs.

    redis-py's default sends again after a lost reply, up to 11 times, and so runs a script again
    behind the back of the outbox, which is the one to retry, with the same request id.
    """
    return {
        "socket_timeout": SOCKET_TIMEOUT,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        **options,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": False,
    }


def _within(limit: float, options: Mapping[str, Any]) -> dict[str, Any]:
    """The same options with shorter timeouts."""
    timeouts = ("socket_timeout", "socket_connect_timeout")
    return {**options, **{name: min(options[name], limit) for name in timeouts}}


def resolve(redis: str | AsyncClient | None, scripts: str | None = None) -> Endpoint:
    """The endpoint meant by a scheduler's arguments `redis` and `scripts`.

    No `redis` means LOCO_REDIS_URL, then REDIS_URL, then `embedded://` with one line of warning; no
    `scripts` means LOCO_REDIS_SCRIPTS, then "eval".

    Raises:
        ValueError: one line that names the (redacted) value and the remedy.
    """
    if redis is None:
        url = os.environ.get(URL_VARIABLE) or os.environ.get(FALLBACK_URL_VARIABLE)
        if not url:
            _log.warning(
                "no Redis given and neither %s nor %s is set: starting an embedded server that "
                "only this process and its children share",
                URL_VARIABLE,
                FALLBACK_URL_VARIABLE,
            )
            url = EMBEDDED_URL
        # This process put it there itself; it must be counted like any embedded:// user.
        redis = EMBEDDED_URL if is_shared(url) else url
    found = Endpoint.parse(redis) if isinstance(redis, str) else Endpoint.of_client(redis)
    return replace(found, scripts=_way(scripts))


def _way(scripts: str | None) -> Way:
    asked, name = scripts, "scripts"
    if asked is None:
        asked, name = os.environ.get(SCRIPTS_VARIABLE) or "eval", SCRIPTS_VARIABLE
    for way in WAYS:
        if way == asked:
            return way
    raise ValueError(f"{name} must be 'eval' or 'functions', got {asked!r}")


def _locate(client: AsyncClient) -> Location:
    """What a ready client is connected to, read from its pool's arguments."""
    if isinstance(client, redis.asyncio.RedisCluster):
        options = _options_of(
            client.connection_kwargs, client.connection_kwargs["connection_class"]
        )
        options.pop("db", None)
        nodes = tuple((n.host, int(n.port)) for n in client.nodes_manager.startup_nodes.values())
        return Location("cluster", nodes, options=options)
    pool: Any = client.connection_pool
    arguments = pool.connection_kwargs
    options = _options_of(arguments, pool.connection_class)
    if sentinels := _sentinels(pool):
        pools: list[Any] = [sentinel.connection_pool for sentinel in sentinels]
        sentinel_options = _options_of(pools[0].connection_kwargs, pools[0].connection_class)
        nodes = tuple(_address(p.connection_kwargs) for p in pools)
        return Location("sentinel", nodes, pool.service_name, options, sentinel_options)
    if path := arguments.get("path"):
        return Location("single", options={**options, "unix_socket_path": path})
    return Location("single", (_address(arguments),), options=options)


def _address(arguments: Mapping[str, Any]) -> tuple[str, int]:
    return arguments.get("host", "localhost"), int(arguments.get("port", 6379))


def _options_of(arguments: Mapping[str, Any], connection_class: type[object]) -> dict[str, Any]:
    if arguments.get("decode_responses"):
        raise ValueError("the Redis client decodes responses: make it with decode_responses=False")
    options = {k: v for k, v in arguments.items() if k in _CLIENT_OPTIONS and v is not None}
    if issubclass(connection_class, redis.asyncio.SSLConnection):
        options["ssl"] = True
    return options


def _sentinels(pool: Any) -> list[redis.asyncio.Redis]:
    manager = getattr(pool, "sentinel_manager", None)
    return list(manager.sentinels) if manager is not None else []


def _fake_twin(client: AsyncClient | None) -> SyncClient | None:
    """For a fakeredis client, which has no address: a plain one on the same in-memory server."""
    if client is None or not type(client).__module__.startswith("fakeredis"):
        return None
    import fakeredis

    assert isinstance(client, redis.asyncio.Redis)
    arguments = client.connection_pool.connection_kwargs
    twin: SyncClient = fakeredis.FakeRedis(
        **{name: arguments[name] for name in _FAKE_ADDRESS if name in arguments}
    )
    return twin
