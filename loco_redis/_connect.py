"""Connections of our own, made the way the given client makes its: same address, TLS, credentials.

They are not taken from the client's pool. A pool of two would be used up by the outbox and the
inbox for ever, and what the pool does to its connections would be done to ours.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from typing import Any
from weakref import WeakSet

import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ConnectionError,
    RedisClusterException,
    RedisError,
)
from redis.retry import Retry

from loco_redis._endpoint import AsyncClient
from loco_redis._fork import ForkGuard

# What opening, using or losing a connection may raise; asyncio.TimeoutError is an OSError.
CONNECTION_ERRORS = (RedisError, RedisClusterException, OSError)

_OPEN_TIMEOUT = 5.0


class Connector:
    """Opens connections to the server that owns `key`: any server but in a cluster."""

    def __init__(self, client: AsyncClient, key: bytes) -> None:
        self._client = client
        self._key = key.decode()
        self._moved = False
        self._guard = ForkGuard(self._key)

    @property
    def forked(self) -> bool:
        """In a child that goes on with its parent's loop: nothing is to be opened any more."""
        return self._guard.forked

    def suspect(self) -> None:
        """What was known of the cluster may be outdated: ask for it again before the next open."""
        self._moved = True

    async def open(self) -> Any:
        """A connected redis-py connection, to be ended by `disconnect(nowait=True)`.

        Sends every command once, and waits for replies without a limit of its own: redis-py would
        keep a limit by one more task for each send, in which cancellations get lost (Python 3.11).
        """
        async with asyncio.timeout(_OPEN_TIMEOUT):
            connection = await self._make()
            connection.retry = Retry(NoBackoff(), 0)
            connection.socket_timeout = None
            try:
                await connection.connect()
            except BaseException:
                await connection.disconnect(nowait=True)
                raise
        _connections.add(connection)
        return connection

    async def _make(self) -> Any:
        if isinstance(self._client, redis.asyncio.Redis):
            return self._client.connection_pool.make_connection()
        if self._moved:
            await self._client.nodes_manager.initialize()
            self._moved = False
        else:
            await self._client.initialize()
        node = self._client.get_node_from_key(self._key)
        if node is None:
            raise ConnectionError(f"no node of the cluster serves {self._key}")
        return node.connection_class(**node.connection_kwargs)


def stream_writer(connection: Any) -> asyncio.StreamWriter | None:
    """What a connection writes by, if it is that; redis-py itself only has a coroutine for it."""
    writer = getattr(connection, "_writer", None)
    return writer if isinstance(writer, asyncio.StreamWriter) else None


def _cut_off() -> None:
    """In a forked child: each connection's descriptor becomes that of a dead socket. Whatever the
    child does with the objects it has inherited, such as ending its parent's event loop, it takes
    no reply of its parent's, sends nothing, and does not touch the parent's epoll set, which knows
    a socket by its descriptor and what lies behind it."""
    for connection in _connections:
        writer = stream_writer(connection)
        ours = writer.get_extra_info("socket") if writer is not None else None
        if ours is None or (descriptor := ours.fileno()) < 0:
            continue
        os.close(descriptor)  # first: so there is one left for the other
        dead = socket.socket(socket.AF_UNIX)
        if dead.fileno() == descriptor:
            dead.detach()
        else:
            os.dup2(dead.fileno(), descriptor)
            dead.close()
    _connections.clear()


_connections: WeakSet[Any] = WeakSet()
os.register_at_fork(after_in_child=_cut_off)


# A connection that ended within TLS, not one that TLS has refused.
_ENDED = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


def is_hopeless(error: BaseException) -> bool:
    """Whether trying again cannot help: wrong credentials, a certificate that does not verify."""
    if isinstance(error, AuthenticationError | AuthorizationError):
        return True
    if isinstance(error, ssl.SSLError):
        return not isinstance(error, _ENDED)
    cause = error.__cause__ or error.__context__
    return cause is not None and is_hopeless(cause)
