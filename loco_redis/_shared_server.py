"""The server behind `embedded://`: one per process, counted, and shared with child processes.

While it runs, its URL stands in LOCO_REDIS_URL, so that children with `redis=None` find it.
Children that say `embedded://` themselves join it too: a server of their own would silently double
the capacity.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from urllib.parse import unquote

from loco_redis._server import DIRECTORY_PREFIX, SOCKET_NAME, EmbeddedServer

URL_VARIABLE = "LOCO_REDIS_URL"


class _Shared:
    """The process' server, its number of users, and the variable's value before it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.server: EmbeddedServer | None = None
        self.users = 0
        self.previous_url: str | None = None


def acquire_shared() -> str:
    """The URL of the embedded server, started unless it runs. Pair with `release_shared`.

    Raises:
        BackendUnavailableError: no binary, or the server does not come up.
    """
    with _shared.lock:
        if _shared.server is None:
            if inherited := _inherited_url():
                return inherited
            _shared.server = EmbeddedServer.start()
            _shared.previous_url = os.environ.get(URL_VARIABLE)
            os.environ[URL_VARIABLE] = _shared.server.url
        _shared.users += 1
        return _shared.server.url


def release_shared(url: str) -> None:
    """Give back what `acquire_shared` returned; the last one stops the server."""
    with _shared.lock:
        # Not ours when inherited from a parent process, by its environment or by fork().
        if _shared.server is None or _shared.server.url != url:
            return
        _shared.users -= 1
        if _shared.users:
            return
        server, _shared.server = _shared.server, None
        if os.environ.get(URL_VARIABLE) == url:
            os.environ.pop(URL_VARIABLE)
            if _shared.previous_url is not None:
                os.environ[URL_VARIABLE] = _shared.previous_url
        server.stop()


def is_shared(url: str) -> bool:
    """Whether `url` is this process' own embedded server, which must be counted when used."""
    return _shared.server is not None and _shared.server.url == url


def _inherited_url() -> str | None:
    """The embedded server of a parent process, if the environment names one that still exists."""
    url = os.environ.get(URL_VARIABLE, "")
    socket_path = Path(unquote(url.removeprefix("unix://")))
    is_embedded = (
        url.startswith("unix://")
        and socket_path.name == SOCKET_NAME
        and socket_path.parent.name.startswith(DIRECTORY_PREFIX)
    )
    return url if is_embedded and socket_path.exists() else None


def _forget() -> None:
    """In a forked child: the parent's server is an inherited one; its lock may be held for ever."""
    global _shared
    _shared = _Shared()


_shared = _Shared()
os.register_at_fork(after_in_child=_forget)
