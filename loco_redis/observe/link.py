"""A blocking connection for reading, and what its errors mean."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self, TypeVar, cast

from redis.exceptions import NoScriptError, ResponseError

from loco_redis._connect import CONNECTION_ERRORS
from loco_redis._endpoint import AsyncClient, Endpoint, resolve
from loco_redis._rights import denied
from loco_redis._scripts import Argument, Command, Scripts
from loco_redis._wire import Diagnosis, diagnose, library_error
from loco_redis.errors import BackendError, BackendUnavailableError

T = TypeVar("T")


class Link:
    """Use it by `with`, or `close()` it. Several observers may share one, in one thread at a time.

    Args:
        redis: a URL, an endpoint, a redis.asyncio client (its address is used), or None for
            LOCO_REDIS_URL, REDIS_URL.
        scripts: "eval" or "functions", as of AsyncLOCOScheduler; an endpoint has its own.

    Raises:
        ValueError: a URL of unknown form.
    """

    def __init__(
        self, redis: str | Endpoint | AsyncClient | None = None, scripts: str | None = None
    ) -> None:
        self.endpoint = redis if isinstance(redis, Endpoint) else resolve(redis, scripts)
        self._client: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Link to {self.where}>"

    @property
    def where(self) -> str:
        """The server's URL without credentials."""
        return self.endpoint.redacted

    def call(self, *args: Argument | float) -> Any:
        """The reply of a plain command.

        Raises:
            BackendUnavailableError: no server, or it does not answer.
            BackendPermissionError: this user may not do that.
            BackendLibraryError: scripts are functions here, and their library is not loaded.
        BackendError: it refused otherwise.
        """
        return self._attempt(str(args[0]), *args)

    def run(self, scripts: Scripts, command: Command[T]) -> T:
        """The decoded reply of a script. Raises as `call` does."""
        keys = scripts.keys.all
        rest = (len(keys), *keys, *command.args)
        try:
            raw = self._attempt(command.script, *scripts.call(command.script), *rest)
        except NoScriptError:
            raw = self._attempt(command.script, "EVAL", scripts.source(command.script), *rest)
        return command.decode(raw)

    def scan(self, key: bytes, pattern: bytes = b"*") -> dict[bytes, bytes]:
        """The fields of a hash, read in pages so that a large one blocks nobody. Each is as it was
        at some moment of the reading."""
        found: dict[bytes, bytes] = {}
        cursor: Any = b"0"
        while True:
            cursor, page = self.call("HSCAN", key, cursor, "MATCH", pattern, "COUNT", 1000)
            # redis-py makes a dict of it.
            found.update(page if isinstance(page, dict) else _pairs(page))
            if int(cursor) == 0:
                return found

    def mapping(self, key: bytes) -> dict[bytes, bytes]:
        """A small hash at once."""
        reply = self.call("HGETALL", key)
        return reply if isinstance(reply, dict) else _pairs(reply)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _attempt(self, name: str, *args: Any) -> Any:
        try:
            if self._client is None:
                self._client = cast(Any, self.endpoint.sync_client())
            return self._client.execute_command(*args)
        except NoScriptError:
            raise
        except CONNECTION_ERRORS as error:
            raise self._worded(name, error) from error

    def _worded(self, name: str, error: Exception) -> BackendError:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        if (refusal := denied(self.where, name, error)) is not None:
            return refusal
        if isinstance(error, ResponseError) and diagnose(error) is Diagnosis.NO_LIBRARY:
            return library_error(self.where, error)
        if isinstance(error, ResponseError) and diagnose(error) is not Diagnosis.LATER:
            return BackendError(f"{name} was refused by Redis at {self.where}: {detail}")
        return BackendUnavailableError(self.where, detail)


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
