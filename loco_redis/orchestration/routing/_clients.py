"""One HTTP client for each backend, made when it is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loco_redis._extras import need
from loco_redis.orchestration.routing.settings import Backend

if TYPE_CHECKING:
    import httpx


class Clients:
    """Of one router, so of one process and event loop."""

    def __init__(self) -> None:
        self._made: dict[str, httpx.AsyncClient] = {}

    def of(self, backend: Backend) -> httpx.AsyncClient:
        """Raises ModuleNotFoundError, which says what to install, without httpx."""
        client = self._made.get(backend.name)
        if client is None:
            client = self._made[backend.name] = _client(need("httpx", "routing"), backend)
        return client

    async def aclose(self) -> None:
        made, self._made = self._made, {}
        for client in made.values():
            await client.aclose()


def _client(library: Any, backend: Backend) -> Any:
    http = backend.http
    most = http.max_connections or backend.capacity
    return library.AsyncClient(
        base_url=backend.base_url or "",
        headers=dict(http.headers or {}),
        timeout=http.timeout,
        limits=library.Limits(max_connections=most, max_keepalive_connections=most),
    )
