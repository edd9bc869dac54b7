"""SharedContext: a small mapping in Redis that the processes of a fleet share."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self

from loco_redis import _validate as validate
from loco_redis._endpoint import AsyncClient, resolve
from loco_redis.backoff import Backoff
from loco_redis.errors import ContextContendedError, ContextFullError
from loco_redis.orchestration.contexts._store import (
    MOST_BYTES,
    MOST_KEYS,
    ContextKeys,
    ContextStore,
    Outcome,
    Written,
)

_YEAR = 365 * 86400.0
_AGAIN = Backoff(base=0.001, cap=0.05)


class Version(int):
    """Of a value: each write has a higher one than all before it. 0: there is no value."""

    def __repr__(self) -> str:
        return f"Version({int(self)})"


#: What `compare_and_set` takes to write only where there is no value.
ABSENT = Version(0)


class SharedContext:
    """JSON values by key, in Redis, for all who give the same name and namespace.

    Use it by `async with`, or `aclose()` it. It belongs to the event loop that first uses it. Each
    method is one atomic step. A write whose reply was lost is sent again, and done once.

    Args:
        name, namespace: 1 to 64 characters out of A-Z a-z 0-9 _ -; the namespace may be "".
        redis: a URL, a redis.asyncio client (never closed), or None for LOCO_REDIS_URL,
            REDIS_URL, or an embedded server.
        ttl: seconds after the last write by anybody who gives one, when all values vanish. None:
            this one's writes leave the expiry as it is; a context that nobody gives one stays.
        backend_timeout: seconds to try for when Redis does not answer.
        scripts: "functions" to call those that an administrator has loaded (docs/security.md).

    Raises:
        ValueError: bad arguments, in one line. From all methods besides:
        BackendError: Redis does not answer, or refuses.
    """

    def __init__(
        self,
        name: str,
        redis: str | AsyncClient | None = None,
        ttl: float | None = None,
        namespace: str = "",
        *,
        backend_timeout: float = 10.0,
        scripts: str | None = None,
    ) -> None:
        for what, text in (("name", name), ("namespace", namespace or "-")):
            if not isinstance(text, str) or not re.fullmatch(validate.NAME_PATTERN, text):
                raise ValueError(
                    f"a context's {what} must be {validate.NAME_RULE}, got {validate.shown(text)}"
                )
        self.name, self.namespace = name, namespace
        if ttl is not None:
            validate.seconds("ttl", ttl, 0.001, 10 * _YEAR)
        self._ttl = None if ttl is None else max(1, round(ttl * 1000))
        validate.seconds("backend_timeout", backend_timeout, 0.001, _YEAR)
        self._endpoint = resolve(redis, scripts)
        self._store = ContextStore(self._endpoint, ContextKeys(namespace, name), backend_timeout)

    def __repr__(self) -> str:
        state = " closed" if self._store.closed else ""
        return f"<SharedContext {self._path!r} at {self._endpoint.redacted}{state}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections that were opened here. What is in Redis stays."""
        await self._store.aclose()

    async def get(self, key: str, default: Any = None) -> Any:
        """The value of a key."""
        return (await self.get_with_version(key, default))[0]

    async def get_with_version(self, key: str, default: Any = None) -> tuple[Any, Version]:
        """The value and, for `compare_and_set`, its version: `default` and ABSENT without one."""
        return _decoded(await self._store.value(_key(key)), default)

    async def snapshot(self) -> dict[str, Any]:
        """All values at one moment, by key in order."""
        entries = await self._store.all()
        return {key.decode(): _decoded(entry)[0] for key, entry in sorted(entries.items())}

    async def set(self, key: str, value: Any) -> Version:
        """Store a value, whatever was there; returns its version.

        Raises:
            ValueError: no JSON, or more than 1 MiB of it.
            ContextFullError: more than 10,000 keys, or 16 MiB, in all.
        """
        return self._version(await self._store.write([(_key(key), _encoded(value))], self._ttl))

    async def update(self, mapping: Mapping[str, Any]) -> None:
        """Store several values: others see all of them or none. Raises as `set` does."""
        if not isinstance(mapping, Mapping):
            raise ValueError(f"mapping must be a mapping, got {validate.shown(mapping)}")
        if pairs := [(_key(key), _encoded(value)) for key, value in mapping.items()]:
            self._version(await self._store.write(pairs, self._ttl))

    async def delete(self, key: str) -> None:
        """Remove a value, if there is one."""
        self._version(await self._store.write([(_key(key), b"")], self._ttl))

    async def clear(self) -> None:
        """Remove all values."""
        await self._store.clear()

    async def compare_and_set(self, key: str, expected: Any, value: Any) -> Version | None:
        """Store `value` if the key is as expected; returns its version, or None if it is not.

        Args:
            expected: a Version, as `get_with_version` returns it; ABSENT for no value; anything
                else is compared as a value, the way JSON writes it: 1 is not 1.0.

        Raises as `set` does.
        """
        written = await self._compare_and_set(_key(key), expected, _encoded(value))
        return None if written.outcome is Outcome.UNLIKE else self._version(written)

    async def change(
        self,
        key: str,
        fn: Callable[[Any], Any | Awaitable[Any]],
        default: Any = None,
        *,
        attempts: int = 1000,
    ) -> Any:
        """Store `fn(value)`, made of the value that it replaces, and return it. `fn` may be async;
        it is called again where somebody else was faster, so it should do nothing else.

        Args:
            default: a copy of it is what `fn` gets if there is no value.
            attempts: so often it is tried, 1 to 1,000,000, with random pauses of up to 0.05 s.

        Raises:
            ContextContendedError: each time somebody else was faster. As `set` does; what `fn`
            raises.
        """
        encoded = _key(key)
        validate.count("attempts", attempts, 1, 10**6)
        for attempt in range(1, attempts + 1):
            found, version = _decoded(await self._store.value(encoded), default)
            value = fn(copy.deepcopy(default) if version == ABSENT else found)
            if inspect.isawaitable(value):
                value = await value
            written = await self._compare_and_set(encoded, version, _encoded(value))
            if written.outcome is not Outcome.UNLIKE:
                self._version(written)
                return value
            if attempt < attempts:
                await asyncio.sleep(_AGAIN.delay(attempt))
        raise ContextContendedError(self._path, key, attempts)

    async def _compare_and_set(self, key: bytes, expected: Any, value: bytes) -> Written:
        by_version = isinstance(expected, Version)
        condition = "version" if by_version else "value"
        wanted = b"%d" % expected if by_version else _encoded(expected)
        return await self._store.write([(key, value)], self._ttl, condition, wanted)

    def _version(self, written: Written) -> Version:
        if written.outcome is Outcome.MANY_KEYS:
            raise ContextFullError(self._path, "keys", written.figure, MOST_KEYS)
        if written.outcome is Outcome.MANY_BYTES:
            raise ContextFullError(self._path, "bytes", written.figure, MOST_BYTES)
        return Version(written.figure)

    @property
    def _path(self) -> str:
        return f"{self.namespace}:{self.name}" if self.namespace else self.name


def _key(key: str) -> bytes:
    encoded = validate.utf8(key)
    if not encoded or len(encoded) > validate.MAX_AGENT_ID_BYTES:
        raise ValueError(
            f"a key must be a str of 1 to {validate.MAX_AGENT_ID_BYTES} UTF-8 bytes, "
            f"got {validate.shown(key)}"
        )
    return encoded


def _encoded(value: Any) -> bytes:
    """Of equal values the same bytes: that is what they are compared by."""
    try:
        text = json.dumps(
            value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
        ).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"a value must be JSON (dict with str keys, list, str, number, bool, None), "
            f"got {validate.shown(value)}: {error}"
        ) from None
    if len(text) > validate.MAX_PAYLOAD_BYTES:
        raise ValueError(
            f"a value has {len(text):,} bytes of JSON, at most {validate.MAX_PAYLOAD_BYTES:,} "
            "(1 MiB) are allowed: store it elsewhere and set its address"
        )
    return text


def _decoded(entry: bytes | None, default: Any = None) -> tuple[Any, Version]:
    if not entry:
        return default, ABSENT
    version, _, text = entry.partition(b"|")
    return json.loads(text), Version(version)
