"""Who makes an HTTP request: read from its ASGI scope."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import unquote

from loco_redis.adapters._calls.http_call import AGENT_HEADER

Scope = MutableMapping[str, Any]


class FromScope(ABC):
    """Gives the agent of a request."""

    @abstractmethod
    def __call__(self, scope: Scope) -> str | None:
        """None where the request does not say it."""


class by_header(FromScope):
    """The value of a header, percent-decoded. Whoever sends requests may name any agent by it."""

    def __init__(self, name: str = AGENT_HEADER) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError(f"name must be that of a header, got {name!r}")
        self._name = name.lower().encode("latin-1")

    def __call__(self, scope: Scope) -> str | None:
        for name, value in scope["headers"]:
            if name.lower() == self._name:
                return unquote(value.decode("latin-1").strip()) or None
        return None


class by_path(FromScope):
    """The path's first `segments`: of `/chat/42` it is "chat". Ids in a path would make agents
    without end, so leave them out."""

    def __init__(self, segments: int = 1) -> None:
        if not isinstance(segments, int) or segments < 1:
            raise ValueError(f"segments must be an int from 1, got {segments!r}")
        self._segments = segments

    def __call__(self, scope: Scope) -> str | None:
        parts = [part for part in scope["path"].split("/") if part]
        return "/".join(parts[: self._segments]) or None


class by_user(FromScope):
    """The user's name as Starlette's AuthenticationMiddleware found it, which must stand outside of
    this one."""

    def __call__(self, scope: Scope) -> str | None:
        user = scope.get("user")
        if user is None or not user.is_authenticated:
            return None
        return str(user.display_name) or None
