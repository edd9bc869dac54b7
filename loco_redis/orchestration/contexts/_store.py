"""The keys of a shared context, and calls that are made again until there is an answer."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack
from enum import IntEnum
from typing import Any, NamedTuple, TypeVar

from loco_redis._endpoint import AsyncClient, Endpoint
from loco_redis.orchestration._insisting import insist
from loco_redis.orchestration._scripts import Runner

T = TypeVar("T")

#: The most there may be in one context: keys, and bytes of keys and values together.
MOST_KEYS, MOST_BYTES = 10_000, 16 << 20


class Outcome(IntEnum):
    """The statuses of context_write.lua."""

    WRITTEN = 1
    UNLIKE = 0
    MANY_KEYS = -1
    MANY_BYTES = -2


class Written(NamedTuple):
    """The reply of context_write.lua."""

    outcome: Outcome
    figure: int


class ContextKeys:
    """The only place where the keys of a context are spelled. They share one hash tag."""

    def __init__(self, namespace: str, name: str) -> None:
        prefix = f"loco:{{context:{namespace}:{name}}}:"
        self.values, self.done = prefix + "values", prefix + "done"


class ContextStore:
    """Reads and writes one context. Its client is made when it is first used, for the event loop
    that uses it.

    Args:
        timeout: seconds to try for when Redis does not answer.
    """

    def __init__(self, endpoint: Endpoint, keys: ContextKeys, timeout: float) -> None:
        self._endpoint, self._keys, self._timeout = endpoint, keys, timeout
        self._attached = ExitStack()
        self._client: Any = None
        self._inside = endpoint  # where the client is: with embedded:// the server that runs
        self._home: tuple[int, object] | None = None
        self.closed = False

    async def value(self, key: bytes) -> bytes | None:
        """`version|JSON` of a key."""
        found: bytes | None = await self._call(
            "HGET", lambda client: client.hget(self._keys.values, b"=" + key)
        )
        return found

    async def all(self) -> dict[bytes, bytes]:
        """Key -> `version|JSON`, all of one moment."""
        rows: dict[bytes, bytes] = await self._call(
            "HGETALL", lambda client: client.hgetall(self._keys.values)
        )
        return {field[1:]: entry for field, entry in rows.items() if field[:1] == b"="}

    async def write(
        self,
        pairs: Iterable[tuple[bytes, bytes]],
        ttl: int | None,
        condition: str = "",
        expected: bytes = b"",
    ) -> Written:
        """Run context_write.lua: once, however often it has to be sent."""
        keys = [self._keys.values, self._keys.done]
        args = [
            secrets.token_bytes(12),
            b"" if ttl is None else ttl,
            condition,
            expected,
            MOST_KEYS,
            MOST_BYTES,
            *(part for pair in pairs for part in pair),
        ]
        status, figure = await self._call(
            "context_write",
            lambda client: Runner(client, self._inside.scripts).run("context_write", keys, args),
        )
        return Written(Outcome(status), figure)

    async def clear(self) -> None:
        await self._call("UNLINK", lambda client: client.unlink(self._keys.values))

    async def aclose(self) -> None:
        self.closed = True
        client, self._client = self._client, None
        try:
            if client is not None and self._home == _here():
                await self._inside.close_async(client)
        finally:
            self._attached.close()

    def _opened(self) -> AsyncClient:
        if self.closed:
            raise RuntimeError("the shared context is closed: make another one")
        if self._client is None:
            self._inside = self._attached.enter_context(self._endpoint.attached())
            self._client, self._home = self._inside.async_client(), _here()
        elif self._home != _here():
            raise RuntimeError(
                "the shared context was used in another event loop or process: make one in each"
            )
        client: AsyncClient = self._client
        return client

    async def _call(self, name: str, send: Callable[[Any], Awaitable[T]]) -> T:
        client, clock = self._opened(), asyncio.get_running_loop().time
        deadline = clock() + self._timeout

        async def ask() -> T:
            async with asyncio.timeout_at(deadline):
                return await send(client)

        where = self._endpoint.redacted
        return await insist(ask, what=name, where=where, patience=self._timeout)


def _here() -> tuple[int, object]:
    return os.getpid(), asyncio.get_running_loop()
